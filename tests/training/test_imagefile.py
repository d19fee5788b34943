"""Training takes and refuses the very files that the agent does."""

from __future__ import annotations

from pathlib import Path

import agent.imagefile
import training.imagefile


def test_the_two_files_are_the_same() -> None:
    """A picture that one takes and the other refuses is found after the training."""
    agents = Path(agent.imagefile.__file__).read_text(encoding="utf-8")
    own = Path(training.imagefile.__file__).read_text(encoding="utf-8")
    assert agents.replace("from agent.errors", "from training.errors") == own
