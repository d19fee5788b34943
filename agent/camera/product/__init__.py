"""The rendered product: a turned steel flange from above, good or with a known defect.

It is what `synthetic://` shows. A part is its (seed, index) and nothing else, so that a verdict
can be checked against what was rendered without keeping any picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from agent.camera.product import finish
from agent.camera.product.defects import KINDS, Canvas
from agent.camera.product.geometry import SIZE, layers

__all__ = ["DEFECTS", "GOOD", "NAME", "SIZE", "Truth", "prepare", "render", "truth_of"]

NAME = "flange"
GOOD = "good"
DEFECTS = tuple(KINDS)


@dataclass(frozen=True)
class Truth:
    """kind: `GOOD` or one of `DEFECTS`; mask: uint8 [SIZE, SIZE], 255 where defective."""

    kind: str
    mask: NDArray[np.uint8]


def prepare() -> None:
    """Draw what all parts share, which takes about a second; else the first parts would wait."""
    for kind in KINDS.values():
        kind(Canvas.perfect(), np.random.default_rng(0), 0.5)
    render(0, 0, 0.0)


def truth_of(seed: int, index: int, defect_rate: float) -> str:
    """The kind of a part, `GOOD` or one of `DEFECTS`, without rendering it."""
    return _choose_kind(_defect_random(seed, index), defect_rate)


def render(seed: int, index: int, defect_rate: float) -> tuple[NDArray[np.uint8], Truth]:
    """Render one part.

    Args:
        seed, index: which part, both from 0; the same pair always gives the same pixels.
        defect_rate: probability of a defect. What it leaves good looks the same at every rate.

    Returns:
        uint8 [SIZE, SIZE, 3] BGR, and what is wrong with it.
    """
    look = np.random.default_rng([seed, index])
    trouble = _defect_random(seed, index)
    kind = _choose_kind(trouble, defect_rate)
    canvas = Canvas.perfect()
    if kind != GOOD:
        KINDS[kind](canvas, trouble, trouble.random())
    surface = finish.turning(look) - finish.harmless_marks(look)
    shade = canvas.shade + canvas.brushed * surface
    stacked = cv2.merge([shade, canvas.metal, layers().shadow, canvas.rust])
    pose = finish.pose(look)
    posed = cv2.warpAffine(
        stacked, pose, (SIZE, SIZE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    shade, metal, shadow, rust = (np.asarray(layer, np.float32) for layer in cv2.split(posed))
    image = finish.photograph(shade, metal, shadow, rust, look)
    mask = cv2.warpAffine(canvas.mask, pose, (SIZE, SIZE), flags=cv2.INTER_NEAREST)
    return image, Truth(kind, np.asarray(mask, np.uint8))


def _defect_random(seed: int, index: int) -> Generator:
    # Apart from the stream of the part's looks, so that a defect changes nothing else.
    return np.random.default_rng([seed, index, 1])


def _choose_kind(random: Generator, defect_rate: float) -> str:
    return str(random.choice(DEFECTS)) if random.random() < defect_rate else GOOD
