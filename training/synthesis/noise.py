"""Perlin noise, the shape source of DRAEM and DiffusionAD anomalies."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

MAX_CELLS_LOG2 = 5


def perlin(height: int, width: int, cells: tuple[int, int], rng: Generator) -> NDArray[np.float32]:
    """Gradient noise (Perlin 2002, quintic fade) with `cells` gradient cells along (y, x).

    Returns float32 [height, width], roughly within [-1, 1]. Each of the four corners of a cell adds
    its gradient times the distance to it, faded out along either axis: sums over rows and columns
    of the grid, and so products of matrices, which torch does without starting threads in the
    process that makes the batches.
    """
    rows, columns = cells
    angles = rng.uniform(0.0, 2.0 * np.pi, (rows + 1, columns + 1)).astype(np.float32)
    fade_y, distance_y = _corners(height, rows)
    fade_x, distance_x = _corners(width, columns)
    angle = torch.from_numpy(angles)
    along_y = distance_y @ torch.sin(angle) @ fade_x.T
    along_x = fade_y @ torch.cos(angle) @ distance_x.T
    noise: NDArray[np.float32] = (np.sqrt(2) * (along_y + along_x)).numpy()
    return noise


def _corners(count: int, cells: int) -> tuple[Tensor, Tensor]:
    """What each corner of the grid counts at each of `count` places of an axis, and that times the
    distance to it: float32 [count, cells + 1] both."""
    place = np.linspace(0.0, cells, count, endpoint=False, dtype=np.float32)
    cell = place.astype(np.intp)
    t = place - cell
    fade = t * t * t * (t * (t * 6.0 - 15.0) + 10.0)
    counts = np.zeros((count, cells + 1), np.float32)
    counts[np.arange(count), cell] = 1.0 - fade
    counts[np.arange(count), cell + 1] = fade
    distances = counts * (place[:, None] - np.arange(cells + 1, dtype=np.float32))
    return torch.from_numpy(counts), torch.from_numpy(distances)


def perlin_blobs(height: int, width: int, rng: Generator) -> NDArray[np.bool_]:
    """Anomaly shape of the paper: 2^k cells an axis, k in 0..5, turned within ±90°, cut at 0.5.

    Returns bool [height, width]; may be empty.
    """
    k = rng.integers(0, MAX_CELLS_LOG2 + 1, 2)
    noise = perlin(height, width, (1 << int(k[0]), 1 << int(k[1])), rng)
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), float(rng.uniform(-90, 90)), 1.0)
    turned = cv2.warpAffine(noise, turn, (width, height), borderMode=cv2.BORDER_REFLECT)
    return turned > 0.5
