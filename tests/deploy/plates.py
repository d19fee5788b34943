"""Brushed plates with and without a dark spot, as a data set in MVTec-AD layout."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

SIDE = 64


def plate(rng: Generator) -> NDArray[np.uint8]:
    """A good plate, uint8 [64, 64, 3]."""
    grain = cv2.GaussianBlur(rng.normal(128, 40, (SIDE, SIDE)).astype(np.float32), (1, 15), 0)
    return np.repeat(np.clip(grain, 0, 255).astype(np.uint8)[..., None], 3, axis=-1)


def defective_plate(rng: Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A plate with a spot, and its mask (0 and 255)."""
    image, mask = plate(rng), np.zeros((SIDE, SIDE), np.uint8)
    centre = tuple(int(v) for v in rng.integers(12, SIDE - 12, 2))
    cv2.circle(mask, centre, 6, 255, -1)
    image[mask > 0] //= 4
    return image, mask


def write_plates(root: Path, train: int = 600) -> Path:
    """So many plates to train on; four good and four spotted ones to test.

    With eighty, the gate of INT8 has few frames, and two good ones that change places are more
    than one verdict in 200.
    """
    rng = np.random.default_rng(3)
    for folder in ("train/good", "test/good", "test/spot", "ground_truth/spot"):
        (root / folder).mkdir(parents=True)
    for index in range(train):
        cv2.imwrite(str(root / "train" / "good" / f"{index}.png"), plate(rng))
    for index in range(4):
        cv2.imwrite(str(root / "test" / "good" / f"{index}.png"), plate(rng))
        image, mask = defective_plate(rng)
        cv2.imwrite(str(root / "test" / "spot" / f"{index}.png"), image)
        cv2.imwrite(str(root / "ground_truth" / "spot" / f"{index}_mask.png"), mask)
    return root
