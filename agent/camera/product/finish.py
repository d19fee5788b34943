"""What differs between two good parts: the turning grain, the light, harmless marks, noise.

Random fields cost more than a frame may take, so each is made once, and a part gets its own by
turning, shifting or cutting it at random.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from agent.camera.product.geometry import CENTRE, LIGHT, SIZE, Layer, polar

GRAIN_FIELDS = 4
NOISE_SIDE = 2 * SIZE

# Brightness added to the metal's, as shares of full white.
GRAIN = (0.022, 0.036)
HIGHLIGHT = (0.15, 0.22)
FAINT_STAIN = (0.0, 0.035)
RUBBED_SPOT = (0.015, 0.035)
# Factors on all of the picture.
LIGHT_LEVEL = (0.93, 1.06)
LIGHT_GRADIENT = 0.05
# Standard deviation in grey levels.
SENSOR_NOISE = (1.2, 2.2)

METAL_TINT = (1.02, 1.00, 0.97)  # BGR
TINT_SPREAD = 0.008
FLOOR_COLOUR = (0.21, 0.19, 0.17)
# What rust leaves of each.
RUST_COLOUR = (0.28, 0.50, 0.80)


@cache
def _grain_fields() -> list[Layer]:
    """Turned metal: noise that is long along the circle and short across it, mean 0, std 1."""
    turns, radii = 720, 256
    radius, angle = polar()
    columns = (np.minimum(radius, SIZE / 2) * ((radii - 1) / (SIZE / 2))).astype(np.float32)
    rows = ((angle / (2 * np.pi) + 0.5) * turns).astype(np.float32)
    fields = []
    for number in range(GRAIN_FIELDS):
        random = np.random.default_rng([7, number])
        # Three turns, so that the blur joins where the circle closes.
        noise = np.vstack([random.standard_normal((turns, radii)).astype(np.float32)] * 3)
        fine = cv2.GaussianBlur(noise, (0, 0), sigmaX=0.6, sigmaY=25)
        broad = cv2.GaussianBlur(noise, (0, 0), sigmaX=2.5, sigmaY=80)
        rings = (fine / fine.std() + 0.7 * broad / broad.std())[turns : 2 * turns + 1]
        field = cv2.remap(rings, columns, rows, cv2.INTER_LINEAR)
        fields.append(np.asarray(field / np.std(field), np.float32))
    return fields


@cache
def _highlight_axes() -> tuple[Layer, Layer]:
    _, angle = polar()
    return np.cos(2 * angle), np.sin(2 * angle)


@cache
def _noise() -> NDArray[np.float32]:
    random = np.random.default_rng(11)
    return random.standard_normal((NOISE_SIDE, NOISE_SIDE, 3), dtype=np.float32)


def turning(random: Generator) -> Layer:
    """What the lathe left and how it shines: brightness to add where the metal is brushed."""
    grain = _grain_fields()[int(random.integers(GRAIN_FIELDS))]
    turn = cv2.getRotationMatrix2D((CENTRE, CENTRE), random.uniform(0, 360), 1)
    turned = cv2.warpAffine(grain, turn, (SIZE, SIZE), flags=cv2.INTER_LINEAR)
    # Brushed along circles, metal mirrors a lamp as two opposite fans.
    fan = 2 * (np.arctan2(LIGHT[1], LIGHT[0]) + random.normal(0, 0.06))
    cosine, sine = _highlight_axes()
    lobes = np.clip(cosine * np.float32(np.cos(fan)) + sine * np.float32(np.sin(fan)), 0, 1)
    shine = np.float32(random.uniform(*HIGHLIGHT))
    return turned * np.float32(random.uniform(*GRAIN)) + shine * lobes * lobes


def harmless_marks(random: Generator) -> Layer:
    """Faint stains and spots that handling leaves on good parts: brightness to take away."""
    coarse = np.clip(random.standard_normal((7, 7)).astype(np.float32), 0, 2)
    film = cv2.resize(coarse, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    marks = film * np.float32(random.uniform(*FAINT_STAIN))
    for _ in range(int(random.poisson(1.0))):
        spot = np.zeros((SIZE, SIZE), np.uint8)
        centre = random.integers(40, SIZE - 40, 2).tolist()
        axes = random.integers(6, 22, 2).tolist()
        cv2.ellipse(spot, centre, axes, random.uniform(0, 180), 0, 360, 255, -1)
        soft = cv2.blur(spot, (9, 9))
        marks += soft * np.float32(random.uniform(*RUBBED_SPOT) / 255)
    return marks


def pose(random: Generator) -> NDArray[np.float64]:
    """How the part lies under the camera: a 2 x 3 matrix for cv2.warpAffine."""
    scale = 1 + random.normal(0, 0.004)
    turn = cv2.getRotationMatrix2D((CENTRE, CENTRE), random.uniform(-4, 4), scale)
    matrix = np.array(turn, np.float64)
    matrix[:, 2] += random.uniform(-4, 4, 2)
    return matrix


def photograph(
    shade: Layer, metal: Layer, shadow: Layer, rust: Layer, random: Generator
) -> NDArray[np.uint8]:
    """Colour, light and sensor: from posed layers (0..1) to a picture.

    Args:
        shade: brightness of metal; metal: share of metal in each pixel; shadow: brightness of
            the floor; rust: share of the metal's colour that rust has taken.

    Returns:
        uint8 [SIZE, SIZE, 3] BGR.
    """
    tint = METAL_TINT + random.normal(0, TINT_SPREAD, 3)
    level = random.uniform(*LIGHT_LEVEL)
    slope_x, slope_y = random.uniform(-LIGHT_GRADIENT, LIGHT_GRADIENT, 2)
    ramp = np.linspace(-1, 1, SIZE, dtype=np.float32)
    light = np.float32(255 * level) * (1 + np.float32(slope_x) * ramp)[None, :]
    light = light * (1 + np.float32(slope_y) * ramp)[:, None]
    on_metal = shade * metal * light
    on_floor = shadow * (1 - metal) * light
    colours = cv2.merge(
        [
            on_metal * np.float32(metal_colour) * (1 - np.float32(1 - rust_colour) * rust)
            + on_floor * np.float32(floor_colour)
            for metal_colour, rust_colour, floor_colour in zip(
                tint, RUST_COLOUR, FLOOR_COLOUR, strict=True
            )
        ]
    )
    top, left = random.integers(0, NOISE_SIDE - SIZE, 2)
    noise = _noise()[top : top + SIZE, left : left + SIZE]
    picture = np.maximum(colours + noise * np.float32(random.uniform(*SENSOR_NOISE)), 0)
    return np.asarray(cv2.convertScaleAbs(picture), np.uint8)
