"""Sources of foreign texture, drawn procedurally or read from a folder of pictures."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from training.shared import shared_array
from training.synthesis.noise import perlin

Image = NDArray[np.uint8]
BANK_SIZE = 48


def procedural_bank(height: int, width: int, rng: Generator) -> Image:
    """Draw textures of assorted kinds: uint8 [BANK_SIZE, height, width, 3]."""
    kinds = (_fractal, _stripes, _checker, _cells, _grain)
    drawn = shared_array((BANK_SIZE, height, width, 3), np.uint8)
    for index, texture in enumerate(drawn):
        texture[:] = _coloured(kinds[index % len(kinds)], height, width, rng)
    return drawn


def vary(texture: Image, rng: Generator) -> NDArray[np.float32]:
    """Three random photometric and geometric changes of a texture: float32 [H, W, 3] in 0..1."""
    height, width = texture.shape[:2]
    changes = rng.permutation(len(_CHANGES))[:3]
    image = np.roll(
        texture, (int(rng.integers(height)), int(rng.integers(width))), axis=(0, 1)
    ).astype(np.float32) / np.float32(255)
    for change in changes:
        image = _CHANGES[change](image, rng)
    return np.clip(image, 0.0, 1.0)


def _coloured(
    pattern: Callable[[int, int, Generator], NDArray[np.float32]],
    height: int,
    width: int,
    rng: Generator,
) -> Image:
    """Map a pattern in 0..1 onto the line between two random colours (often greys)."""
    low, high = rng.uniform(0, 255, (2, 1, 1, 3))
    if rng.random() < 0.5:
        low, high = low.mean(keepdims=True), high.mean(keepdims=True)
    value = pattern(height, width, rng)[..., None]
    mixed: Image = np.broadcast_to(low + (high - low) * value, (height, width, 3)).astype(np.uint8)
    return mixed


def _unit(values: NDArray[np.float32]) -> NDArray[np.float32]:
    low, high = float(values.min()), float(values.max())
    unit: NDArray[np.float32] = ((values - low) / max(high - low, 1e-6)).astype(np.float32)
    return unit


def _fractal(height: int, width: int, rng: Generator) -> NDArray[np.float32]:
    start = int(rng.integers(0, 3))
    octaves = (
        perlin(height, width, (2**k, 2**k), rng) / 2 ** (k - start) for k in range(start, start + 4)
    )
    return _unit(np.sum(list(octaves), axis=0))


def _stripes(height: int, width: int, rng: Generator) -> NDArray[np.float32]:
    y, x = np.mgrid[:height, :width].astype(np.float32)
    angle, period = rng.uniform(0, np.pi), rng.uniform(4, 40)
    warp = perlin(height, width, (4, 4), rng) * rng.uniform(0, 6)
    wave = np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle) + warp) / period)
    return _unit(wave.astype(np.float32))


def _checker(height: int, width: int, rng: Generator) -> NDArray[np.float32]:
    side = int(rng.integers(6, 40))
    values = rng.random((height // side + 2, width // side + 2)).astype(np.float32)
    big = cv2.resize(values, None, fx=side, fy=side, interpolation=cv2.INTER_NEAREST)
    return big[:height, :width].astype(np.float32)


def _cells(height: int, width: int, rng: Generator) -> NDArray[np.float32]:
    """Distance to scattered seeds: pebbles, grains, scales."""
    seeds = np.full((height, width), 255, np.uint8)
    count = int(rng.integers(30, 400))
    seeds[rng.integers(0, height, count), rng.integers(0, width, count)] = 0
    return _unit(cv2.distanceTransform(seeds, cv2.DIST_L2, 5).astype(np.float32))


def _grain(height: int, width: int, rng: Generator) -> NDArray[np.float32]:
    noise = rng.standard_normal((height, width)).astype(np.float32)
    sigma_x, sigma_y = rng.uniform(0.5, 8, 2)
    blurred = cv2.GaussianBlur(noise, (0, 0), float(sigma_x), sigmaY=float(sigma_y))
    return _unit(blurred.astype(np.float32))


def _turn(image: NDArray[np.float32], rng: Generator) -> NDArray[np.float32]:
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), float(rng.uniform(-45, 45)), 1.0)
    turned = cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)
    return turned.astype(np.float32)


def _flip(image: NDArray[np.float32], rng: Generator) -> NDArray[np.float32]:
    return image[:: rng.choice((-1, 1)), :: rng.choice((-1, 1))]


def _gamma(image: NDArray[np.float32], rng: Generator) -> NDArray[np.float32]:
    return np.power(np.clip(image, 0, 1), np.float32(rng.uniform(0.5, 2.0)))


def _brightness(image: NDArray[np.float32], rng: Generator) -> NDArray[np.float32]:
    return image * np.float32(rng.uniform(0.7, 1.3)) + np.float32(rng.uniform(-0.1, 0.1))


def _invert(image: NDArray[np.float32], rng: Generator) -> NDArray[np.float32]:
    return 1.0 - image if rng.random() < 0.5 else image


def _posterise(image: NDArray[np.float32], rng: Generator) -> NDArray[np.float32]:
    levels = np.float32(rng.integers(3, 8))
    return np.round(image * levels) / levels


_CHANGES: tuple[Callable[[NDArray[np.float32], Generator], NDArray[np.float32]], ...] = (
    _turn,
    _flip,
    _gamma,
    _brightness,
    _invert,
    _posterise,
)
