"""What a killed training recorded is gone on with from its last whole line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from training.run import METRICS
from training.state import drop_metrics_after

WHOLE = [{"step": step, "losses": {"image": 0.5}} for step in (1, 2, 3)]


@pytest.mark.parametrize(
    "half",
    [
        '{"step": 2, "losses": {"image": 0.5}',
        '{"step": 2, "losses": {"image": 0.5}}',
        '{"st',
        "2",
        "\0\0\0\0\n",
        "",
    ],
    ids=["a brace too few", "no line end", "hardly begun", "a number", "never synced", "whole"],
)
def test_a_line_that_a_kill_cut_off_is_forgotten(tmp_path: Path, half: str) -> None:
    """It ended in a brace as a whole one does, and the resume in a traceback."""
    path = tmp_path / METRICS
    path.write_text("".join(json.dumps(entry) + "\n" for entry in WHOLE) + half)
    drop_metrics_after(tmp_path, 2)
    assert [json.loads(line) for line in path.read_text().splitlines()] == WHOLE[:2]
