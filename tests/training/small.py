"""Trainings of a few steps on small pictures, from the command line."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from click.testing import CliRunner

from training.commands import train

STEPS = 4


def write_plates(folder: Path) -> Path:
    """Sixteen brushed plates."""
    rng = np.random.default_rng(0)
    for index in range(16):
        grain = cv2.GaussianBlur(rng.normal(128, 40, (96, 96)).astype(np.float32), (1, 15), 0)
        cv2.imwrite(str(folder / f"{index:02d}.png"), np.clip(grain, 0, 255).astype(np.uint8))
    return folder


def order(parts: Path, out: Path, *more: str) -> list[str]:
    return [str(parts), "--out", str(out), "--preset", "edge-s", "--size", "64", *more]


def run_train(parts: Path, out: Path, *more: str) -> None:
    result = CliRunner().invoke(train, order(parts, out, *more), catch_exceptions=False)
    assert result.exit_code == 0, result.output
