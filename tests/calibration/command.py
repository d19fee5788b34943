"""`normline calibrate` as a user calls it."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.cli import main


def calibrate(*arguments: str | Path) -> int:
    """Run the command; returns its exit code."""
    with pytest.raises(SystemExit) as stopped:
        main(["calibrate", *map(str, arguments)])
    return int(stopped.value.code or 0)
