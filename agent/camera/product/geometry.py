"""The flange as drawn: where metal is, how its edges catch the light, how its shadow falls.

All layers are float32 [SIZE, SIZE] in the part's own frame, centred, and are drawn once: at four
times the size, then averaged down, so that every edge is smooth.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Layer = NDArray[np.float32]

SIZE = 320
CENTRE = (SIZE - 1) / 2
SUPERSAMPLING = 4

# Radii in pixels at SIZE.
RIM, FACE = 128.0, 124.0
GROOVE = 66.0
HUB, CHAMFER, BORE = 60.0, 40.0, 35.0
BOLT_CIRCLE, BOLT_HOLE, BOLT_CHAMFER = 97.0, 11.0, 14.0
BOLT_COUNT = 6
# Towards the lamp, in image coordinates (y down).
LIGHT = np.array([-0.6, -0.8])

FLOOR = 0.24
METAL = 0.60


def bolt_centre(number: int) -> NDArray[np.float64]:
    """Centre (x, y) of a bolt hole."""
    angle = 2 * np.pi * number / BOLT_COUNT
    return CENTRE + BOLT_CIRCLE * np.array([np.cos(angle), np.sin(angle)])


@dataclass(frozen=True)
class Layers:
    """The perfect part.

    shade: brightness without grain; metal: 1 where there is metal, 0 where one looks through;
    brushed: how strongly the turning grain and its highlight show; shadow: brightness of the
    floor, 1 where the part takes no light from it.
    """

    shade: Layer
    metal: Layer
    brushed: Layer
    shadow: Layer


@cache
def polar() -> tuple[Layer, Layer]:
    """Radius (px) and angle (rad, from -pi) of every pixel about the part's centre."""
    axis = np.arange(SIZE, dtype=np.float32) - np.float32(CENTRE)
    x, y = np.meshgrid(axis, axis)
    return np.hypot(x, y), np.arctan2(y, x)


@cache
def layers(holes: bool = True) -> Layers:
    """The unmarked part, with all or none of its bolt holes."""
    step = 1 / SUPERSAMPLING
    axis = (np.arange(SIZE * SUPERSAMPLING) + 0.5) * step - 0.5
    x, y = np.meshgrid(axis, axis)
    dx, dy = x - CENTRE, y - CENTRE
    radius = np.hypot(dx, dy)
    lit = (dx * LIGHT[0] + dy * LIGHT[1]) / np.maximum(radius, 1e-6)

    metal = ((radius < RIM) & (radius > BORE)).astype(np.float32)
    brushed = ((radius < FACE) & (radius > CHAMFER)).astype(np.float32)
    shade = np.full_like(metal, METAL)
    shade[radius < HUB] += 0.07
    shade += np.where(radius > FACE, 0.22 * lit, 0)
    shade += np.where(np.abs(radius - GROOVE) < 2.2, -0.20 + 0.08 * (radius - GROOVE) * lit, 0)
    shade += np.where(np.abs(radius - HUB) < 1.8, 0.20 * lit, 0)
    shade += np.where(radius < CHAMFER, -0.06 - 0.24 * lit, 0)
    if holes:
        for number in range(BOLT_COUNT):
            hole_x, hole_y = bolt_centre(number)
            hx, hy = x - hole_x, y - hole_y
            distance = np.hypot(hx, hy)
            facing = (hx * LIGHT[0] + hy * LIGHT[1]) / np.maximum(distance, 1e-6)
            ring = (distance < BOLT_CHAMFER) & (distance >= BOLT_HOLE)
            shade[ring] = (METAL - 0.02 - 0.26 * facing)[ring]
            brushed[distance < BOLT_CHAMFER] = 0
            metal[distance < BOLT_HOLE] = 0
    shade, metal, brushed = (average_down(layer) for layer in (shade, metal, brushed))
    shift = np.array([[1, 0, -9 * LIGHT[0]], [0, 1, -9 * LIGHT[1]]])
    cast = cv2.GaussianBlur(cv2.warpAffine(metal, shift, (SIZE, SIZE)), (0, 0), 6)
    return Layers(shade, metal, brushed, 1 - 0.55 * cast)


def average_down(layer: NDArray[Any]) -> Layer:
    """A layer drawn at `SUPERSAMPLING` times the size, any dtype, at `SIZE`."""
    small = cv2.resize(layer.astype(np.float32), (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32)
