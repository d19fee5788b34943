"""Drawn defects on pictures of normal parts: what the threshold would find, by kind and size.

They are simple and alike on purpose, and none of those that the model was trained with: a yardstick
to compare thresholds by, not a forecast for the defects of a line.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from agent.engine import Engine, EngineFault
from agent.inspection import inspect
from agent.view import View
from calibration.threshold import supported_rate

# Of the shorter side of the model's frame.
SIZES = (0.02, 0.04, 0.08)
CONTRAST = 40
TRIED = 20
CONFIDENCE = 0.975
BACKGROUND = 20
PLAUSIBLE_PART = 0.2

Layer = NDArray[np.float32]


def spot(shape: tuple[int, int], at: tuple[int, int], size: float, _: Generator) -> Layer:
    """A disc of diameter `size`."""
    layer = np.zeros(shape, np.float32)
    cv2.circle(layer, at, max(1, round(size / 2)), 1.0, -1, cv2.LINE_AA)
    return layer


def scratch(shape: tuple[int, int], at: tuple[int, int], size: float, random: Generator) -> Layer:
    """A line two pixels wide, three times as long as `size`."""
    layer = np.zeros(shape, np.float32)
    angle = random.uniform(0, np.pi)
    half = 1.5 * size * np.array([np.cos(angle), np.sin(angle)])
    start, end = np.rint(np.array(at) - half), np.rint(np.array(at) + half)
    cv2.line(layer, start.astype(int).tolist(), end.astype(int).tolist(), 1.0, 2, cv2.LINE_AA)
    return layer


def stain(shape: tuple[int, int], at: tuple[int, int], size: float, _: Generator) -> Layer:
    """A patch without an edge, `size` wide where it has lost half."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    square = (x - at[0]) ** 2 + (y - at[1]) ** 2
    return np.exp(-square / np.float32(2 * (size / 2.355) ** 2)).astype(np.float32)


KINDS: dict[str, Callable[[tuple[int, int], tuple[int, int], float, Generator], Layer]] = {
    kind.__name__: kind for kind in (spot, scratch, stain)
}


@dataclass(frozen=True)
class Detection:
    """Of `tried` defects of one kind and size, `found` score above the threshold.

    size_px: in the model's frame; low, high: 95 % interval for the share found (Clopper, Pearson);
    found_otherwise: with the threshold that there would be without the largest normal scores.
    """

    kind: str
    size_px: float
    tried: int
    found: int
    low: float
    high: float
    found_otherwise: int


def detect(
    engine: Engine,
    view: View,
    canvases: Sequence[NDArray[np.uint8]],
    threshold: float,
    otherwise: float,
    tried: int = TRIED,
) -> list[Detection]:
    """Draw defects of every kind and size on normal parts, and count what is found.

    Args:
        engine: the one that the threshold was taken on.
        view: of the engine's bundle.
        canvases: uint8 [H, W, 3] BGR, from `view.canvas`, of normal parts; used in turn. Without
            any nothing is tried.
        threshold: of the score.
        otherwise: the threshold without the largest normal scores.
        tried: defects of each kind and size.
    """
    if not canvases:
        return []
    random = np.random.default_rng(0)
    places = [_places(canvas, view.ignored_on_canvas) for canvas in canvases]
    rows = []
    for name, draw in KINDS.items():
        for share in SIZES:
            size = share * min(view.input_size)
            scores = []
            for index in range(tried):
                canvas, spots = canvases[index % len(canvases)], places[index % len(canvases)]
                y, x = spots[random.integers(len(spots))]
                layer = draw(canvas.shape[:2], (int(x), int(y)), size, random)
                scores.append(_score(engine, view, _drawn(canvas, layer, (y, x))))
            found, more = (sum(s > limit for s in scores) for limit in (threshold, otherwise))
            rows.append(
                Detection(name, round(size, 1), tried, found, *_interval(found, tried), more)
            )
    return rows


def _score(engine: Engine, view: View, canvas: NDArray[np.uint8]) -> float:
    try:
        return inspect(engine, view, canvas).score
    except EngineFault:
        return inf  # No decision lets no part pass.


def _drawn(canvas: NDArray[np.uint8], layer: Layer, at: tuple[int, int]) -> NDArray[np.uint8]:
    darker = canvas[at].mean() > 127
    change = (-CONTRAST if darker else CONTRAST) * layer[..., None]
    return np.clip(np.rint(canvas + change), 0, 255).astype(np.uint8)


def _places(canvas: NDArray[np.uint8], ignored: NDArray[np.bool_] | None) -> NDArray[np.intp]:
    """Where a defect may lie, [n, 2] (y, x): on the part, as far as it is inspected."""
    part = _part(canvas)
    if ignored is None:
        return np.argwhere(part)
    # What is ignored is painted over, and the paint may be all that is told from the border.
    return np.argwhere(part & ~ignored if (part & ~ignored).any() else ~ignored)


def _part(canvas: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where the part is: what differs from the colour of the picture's border, or all of it."""
    border = np.concatenate([canvas[:2], canvas[-2:]]).reshape(-1, 3)
    distance = np.abs(canvas.astype(np.int16) - np.median(border, axis=0)).max(axis=-1)
    part = cv2.medianBlur((distance > BACKGROUND).astype(np.uint8), 5).astype(bool)
    return part if part.mean() > PLAUSIBLE_PART else np.ones_like(part)


def _interval(found: int, tried: int) -> tuple[float, float]:
    # The upper bound of Clopper and Pearson for `found` of `tried`, and its mirror image.
    high = supported_rate(tried, found + 1, CONFIDENCE) if found < tried else 1.0
    low = 1 - supported_rate(tried, tried - found + 1, CONFIDENCE) if found else 0.0
    return low, high
