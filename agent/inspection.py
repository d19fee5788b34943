"""Inspecting a whole image: the engine runs tile by tile, and the maps become one.

The score of an image is that of its worst tile, and where tiles overlap the larger logit counts:
what any tile sees cannot be averaged away at a seam. As a score is the mean of some of a tile's
logits, an image with a score above a limit has a pixel above it too. With one tile and nothing
ignored, the answer is the engine's own.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agent.engine import Engine, Inspection
from agent.view import View

# Logit of pixels that are not inspected: far below any that a network gives.
IGNORED_LOGIT = np.float32(-1e4)


def inspect(engine: Engine, view: View, canvas: NDArray[np.uint8]) -> Inspection:
    """Inspect an image.

    Args:
        engine: loaded.
        view: of the engine's bundle.
        canvas: uint8 [H, W, 3] BGR, from `view.canvas`.

    Returns:
        Map and reconstruction are of the canvas's size.

    Raises:
        EngineFault: the engine gave no usable answer for a tile.
    """
    height, width = view.input_size
    ignored = view.ignored_on_canvas
    if canvas.shape[:2] == view.input_size and ignored is None:
        return engine.infer(canvas)
    scores = []
    anomaly_map = np.full(canvas.shape[:2], IGNORED_LOGIT, np.float32)
    reconstruction = canvas.copy()
    for y, x in view.places:
        place = np.s_[y : y + height, x : x + width]
        found = engine.infer(np.ascontiguousarray(canvas[place]))
        score = found.score
        if ignored is not None and ignored[place].any():
            score = _score(found.anomaly_map, ~ignored[place], view)
        scores.append(score)
        np.maximum(anomaly_map[place], found.anomaly_map, out=anomaly_map[place])
        reconstruction[place] = found.reconstruction
    if ignored is not None:
        anomaly_map[ignored] = IGNORED_LOGIT
    return Inspection(max(scores), anomaly_map, reconstruction)


def _score(logits: NDArray[np.float32], inspected: NDArray[np.bool_], view: View) -> float:
    """The score of a map [H, W] over what is inspected of it."""
    assert view.score_pixels is not None
    side = view.score_square
    taken = _means(
        _cell_sums(np.where(inspected, logits, np.float32(0)), side),
        _cell_sums(inspected.astype(np.float32), side),
        side,
    )
    count = min(view.score_pixels, len(taken))
    return float(np.partition(taken, len(taken) - count)[-count:].mean())


def _means(
    sums: NDArray[np.float32], counts: NDArray[np.float32], side: int
) -> NDArray[np.float32]:
    """Means over what is inspected of each square of side x side pixels.

    Squares that are mostly ignored do not count, as few pixels stray further; unless there are no
    others.
    """
    counted = counts >= min(side * side / 2, counts.max())
    return np.asarray(sums[counted] / counts[counted], np.float32)


def _cell_sums(values: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Sums over squares side by side."""
    rows, columns = values.shape[0] // side, values.shape[1] // side
    cells = values[: rows * side, : columns * side].reshape(rows, side, columns, side)
    return np.asarray(cells.sum((1, 3)), np.float32)
