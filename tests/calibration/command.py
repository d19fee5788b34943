"""Commands as a user calls them, and good parts for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

from agent.cli import main
from tests.tiny import tiny_frames


def normline(*arguments: str | Path) -> int:
    """Run a command; returns its exit code."""
    with pytest.raises(SystemExit) as stopped:
        main([str(argument) for argument in arguments])
    return int(stopped.value.code or 0)


def calibrate(*arguments: str | Path) -> int:
    """Run `normline calibrate` so."""
    return normline("calibrate", *arguments)


def write_parts(folder: Path, seed: int, count: int, bend: Callable = lambda f: f) -> Path:
    """A folder of good parts."""
    folder.mkdir()
    for index, frame in enumerate(tiny_frames(2 * count, (64, 64), seed)[0::2]):
        assert cv2.imwrite(str(folder / f"{index:03}.png"), bend(frame))
    return folder
