"""Drawn defects on pictures of normal parts: what the threshold would find, by kind and size.

They are simple and alike on purpose, and none of those that the model was trained with: a yardstick
to compare thresholds by, not a forecast for the defects of a line.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from agent.engine import Engine, EngineFault
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

    size_px: in the model's frame; low, high: 95 % interval for the share found (Clopper, Pearson).
    """

    kind: str
    size_px: float
    tried: int
    found: int
    low: float
    high: float


def detect(
    engine: Engine, frames: Sequence[NDArray[np.uint8]], threshold: float, tried: int = TRIED
) -> list[Detection]:
    """Draw defects of every kind and size on normal frames, and count what is found.

    Args:
        engine: the one that the threshold was taken on.
        frames: uint8 [H, W, 3] BGR at model size, of normal parts; used in turn.
        threshold: of the score.
        tried: defects of each kind and size.
    """
    random = np.random.default_rng(0)
    places = [np.argwhere(_part(frame)) for frame in frames]
    rows = []
    for name, draw in KINDS.items():
        for share in SIZES:
            size = share * min(frames[0].shape[:2])
            found = 0
            for index in range(tried):
                frame, spots = frames[index % len(frames)], places[index % len(frames)]
                y, x = spots[random.integers(len(spots))]
                layer = draw(frame.shape[:2], (int(x), int(y)), size, random)
                found += _is_found(engine, _drawn(frame, layer, (y, x)), threshold)
            rows.append(Detection(name, round(size, 1), tried, found, *_interval(found, tried)))
    return rows


def _is_found(engine: Engine, frame: NDArray[np.uint8], threshold: float) -> bool:
    try:
        return engine.infer(frame).score > threshold
    except EngineFault:
        return True  # No decision lets no part pass.


def _drawn(frame: NDArray[np.uint8], layer: Layer, at: tuple[int, int]) -> NDArray[np.uint8]:
    darker = frame[at].mean() > 127
    change = (-CONTRAST if darker else CONTRAST) * layer[..., None]
    return np.clip(np.rint(frame + change), 0, 255).astype(np.uint8)


def _part(frame: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where the part is: what differs from the colour of the picture's border, or all of it."""
    border = np.concatenate([frame[:2], frame[-2:]]).reshape(-1, 3)
    distance = np.abs(frame.astype(np.int16) - np.median(border, axis=0)).max(axis=-1)
    part = cv2.medianBlur((distance > BACKGROUND).astype(np.uint8), 5).astype(bool)
    return part if part.mean() > PLAUSIBLE_PART else np.ones_like(part)


def _interval(found: int, tried: int) -> tuple[float, float]:
    # The upper bound of Clopper and Pearson for `found` of `tried`, and its mirror image.
    high = supported_rate(tried, found + 1, CONFIDENCE) if found < tried else 1.0
    low = 1 - supported_rate(tried, tried - found + 1, CONFIDENCE) if found else 0.0
    return low, high
