"""Perlin noise, the shape source of DRAEM and DiffusionAD anomalies."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

MAX_CELLS_LOG2 = 5


def perlin(height: int, width: int, cells: tuple[int, int], rng: Generator) -> NDArray[np.float32]:
    """Gradient noise (Perlin 2002, quintic fade) with `cells` gradient cells along (y, x).

    Returns float32 [height, width], roughly within [-1, 1].
    """
    rows, columns = cells
    angles = rng.uniform(0.0, 2.0 * np.pi, (rows + 1, columns + 1)).astype(np.float32)
    gradient_y, gradient_x = np.sin(angles), np.cos(angles)
    y = np.linspace(0.0, rows, height, endpoint=False, dtype=np.float32)
    x = np.linspace(0.0, columns, width, endpoint=False, dtype=np.float32)
    row, column = y.astype(np.intp), x.astype(np.intp)
    fy, fx = (y - row)[:, None], (x - column)[None, :]

    def corner(dy: int, dx: int) -> NDArray[np.float32]:
        at = np.ix_(row + dy, column + dx)
        return (gradient_y[at] * (fy - dy) + gradient_x[at] * (fx - dx)).astype(np.float32)

    fade_y, fade_x = _fade(fy), _fade(fx)
    top = corner(0, 0) * (1 - fade_x) + corner(0, 1) * fade_x
    bottom = corner(1, 0) * (1 - fade_x) + corner(1, 1) * fade_x
    noise: NDArray[np.float32] = (np.sqrt(2) * (top * (1 - fade_y) + bottom * fade_y)).astype(
        np.float32
    )
    return noise


def perlin_blobs(height: int, width: int, rng: Generator) -> NDArray[np.bool_]:
    """Anomaly shape of the paper: 2^k cells an axis, k in 0..5, turned within ±90°, cut at 0.5.

    Returns bool [height, width]; may be empty.
    """
    k = rng.integers(0, MAX_CELLS_LOG2 + 1, 2)
    noise = perlin(height, width, (1 << int(k[0]), 1 << int(k[1])), rng)
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), float(rng.uniform(-90, 90)), 1.0)
    turned = cv2.warpAffine(noise, turn, (width, height), borderMode=cv2.BORDER_REFLECT)
    return turned > 0.5


def _fade(t: NDArray[np.float32]) -> NDArray[np.float32]:
    return (t * t * t * (t * (t * 6.0 - 15.0) + 10.0)).astype(np.float32)
