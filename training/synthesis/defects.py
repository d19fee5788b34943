"""Drawn defects: cracks, scratches, spots, stains, worn patches, dents, chips, displaced pieces.

Each painter takes an image float32 [H, W, 3] in 0..1, and gives (painted, alpha): the picture of
the defect and its opacity float32 [H, W]; the caller mixes them. Strength is drawn relative to
the picture's own contrast, from just visible upwards, so that one recipe serves dull castings
and bright prints.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from training.synthesis.noise import perlin

Field = NDArray[np.float32]
Painter = Callable[[Field, tuple[int, int], Generator], tuple[Field, Field]]
SUBPIXEL_BITS = 4
# Cracks follow the grain more often than chance, and are then hairs more often than not.
ALONG_GRAIN, HAIR = 0.7, 0.9
# Radians by which a line in the grain strays from it.
HAIR_JITTER = 0.015
# Grain is judged within this many pixels of a defect.
REACH = 24


def crack(image: Field, at: tuple[int, int], rng: Generator) -> tuple[Field, Field]:
    """A wandering line, mostly dark, of uneven width, perhaps branched; or a hair in the grain."""
    heading = _grain_direction(image, at) if rng.random() < ALONG_GRAIN else None
    if heading is not None and rng.random() < HAIR:
        return _shifted(image, rng, darker=0.85), _hair(image.shape, at, rng, heading)
    alpha = _line(image.shape, at, rng, heading, wander=rng.uniform(0.05, 0.6), thickest=4)
    if rng.random() < 0.25:
        branch = _line(image.shape, at, rng, None, wander=0.5, thickest=2)
        alpha = np.maximum(alpha, branch)
    return _shifted(image, rng, darker=0.85), alpha


def scratch(image: Field, at: tuple[int, int], rng: Generator) -> tuple[Field, Field]:
    """A nearly straight, thin line, bright or dark."""
    painted = _shifted(image, rng, darker=0.5)
    if rng.random() < ALONG_GRAIN:
        return painted, _hair(image.shape, at, rng, _grain_direction(image, at))
    return painted, _line(image.shape, at, rng, None, wander=rng.uniform(0.0, 0.06), thickest=2)


def spot(image: Field, at: tuple[int, int], rng: Generator) -> tuple[Field, Field]:
    """A hole or inclusion: a small ragged ellipse, often with a rim."""
    alpha = _ellipse(image.shape, at, rng, radius=(1.5, 14.0))
    painted = _shifted(image, rng, darker=0.75)
    if rng.random() < 0.3:
        rim = cv2.dilate(alpha, np.ones((3, 3), np.uint8)) - alpha
        painted = painted + rim[..., None] * np.float32(rng.choice((-0.3, 0.3)))
        alpha = np.maximum(alpha, rim)
    return painted, alpha


def stain(image: Field, at: tuple[int, int], rng: Generator) -> tuple[Field, Field]:
    """A wide patch of changed tone with a soft or a sharp edge; the grain shows through."""
    alpha = _ellipse(image.shape, at, rng, radius=(10.0, 70.0))
    if rng.random() < 0.5:
        alpha = cv2.GaussianBlur(alpha, (0, 0), float(rng.uniform(1, 6))).astype(np.float32)
    gain = rng.choice((rng.uniform(0.45, 0.9), rng.uniform(1.1, 1.7)))
    tint = 1.0 + rng.normal(0.0, 0.06, 3) * (rng.random() < 0.5)
    return image * (gain * tint).astype(np.float32), alpha


def worn(image: Field, at: tuple[int, int], rng: Generator) -> tuple[Field, Field]:
    """A patch whose grain is rubbed away or filled, at about the tone that it had."""
    alpha = _ellipse(image.shape, at, rng, radius=(6.0, 60.0))
    if rng.random() < 0.5:
        alpha = cv2.GaussianBlur(alpha, (0, 0), float(rng.uniform(1, 4))).astype(np.float32)
    smooth = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(2, 8)))
    return (smooth * rng.uniform(0.7, 1.15)).astype(np.float32), alpha


def dent(image: Field, at: tuple[int, int], rng: Generator) -> tuple[Field, Field]:
    """A hollow or a bump: bright on the side that faces the light, dark on the other."""
    height, width = image.shape[:2]
    radius = float(np.exp(rng.uniform(np.log(3.0), np.log(24.0))))
    y = (np.arange(height, dtype=np.float32)[:, None] - at[0]) / radius
    x = (np.arange(width, dtype=np.float32)[None, :] - at[1]) / radius
    angle = rng.uniform(0, 2 * np.pi)
    slope = (x * np.cos(angle) + y * np.sin(angle)) * np.exp(0.5 - (x**2 + y**2) / 2)
    depth = np.float32(_contrast(image) * np.exp(rng.uniform(np.log(0.7), np.log(4.0))))
    painted = image + depth * slope[..., None].astype(np.float32)
    return painted, (x**2 + y**2 < 2.5).astype(np.float32)


def chip(image: Field, at: tuple[int, int], rng: Generator) -> tuple[Field, Field]:
    """A piece broken out: a polygon with straight flanks, filled with a flat, shaded tone."""
    height, width = image.shape[:2]
    if rng.random() < 0.4:
        at = _to_border(image.shape, at, rng)
    corners = int(rng.integers(3, 7))
    radius = rng.uniform(5, 40)
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    radii = radius * rng.uniform(0.4, 1.0, corners)
    points = np.stack((at[1] + radii * np.cos(angles), at[0] + radii * np.sin(angles)), axis=-1)
    alpha = np.zeros((height, width), np.float32)
    cv2.fillPoly(alpha, [_fixed_point(points)], 1.0, cv2.LINE_AA, SUBPIXEL_BITS)
    tone = image[at] if rng.random() < 0.3 else image.reshape(-1, 3).min(axis=0)
    tone = tone * rng.uniform(0.5, 1.2) + rng.uniform(0.0, 0.15)
    shade = 1.0 + 0.3 * perlin(height, width, (4, 4), rng)[..., None]
    return (tone * shade).astype(np.float32), alpha


def displaced(image: Field, at: tuple[int, int], rng: Generator) -> tuple[Field, Field]:
    """A piece of the part itself in the wrong place, turned or mirrored."""
    height, width = image.shape[:2]
    moved = np.roll(
        image,
        (
            int(rng.integers(height // 10, height - height // 10)),
            int(rng.integers(width // 10, width - width // 10)),
        ),
        axis=(0, 1),
    )
    moved = moved[:: rng.choice((-1, 1)), :: rng.choice((-1, 1))]
    if rng.random() < 0.5:
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), float(rng.uniform(-90, 90)), 1.0)
        turned = cv2.warpAffine(moved, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)
        moved = turned.astype(np.float32)
    if rng.random() < 0.5:
        return moved, _ellipse(image.shape, at, rng, radius=(6.0, 50.0))
    alpha = np.zeros((height, width), np.float32)
    half_y, half_x = rng.uniform(4, 50, 2)
    box = cv2.boxPoints(((at[1], at[0]), (2 * half_x, 2 * half_y), float(rng.uniform(0, 90))))
    cv2.fillPoly(
        alpha, [_fixed_point(np.asarray(box, np.float64))], 1.0, cv2.LINE_AA, SUBPIXEL_BITS
    )
    return moved, alpha


PAINTERS: dict[str, Painter] = {
    painter.__name__: painter
    for painter in (crack, scratch, spot, stain, worn, dent, chip, displaced)
}


def _line(
    shape: tuple[int, ...],
    at: tuple[int, int],
    rng: Generator,
    heading: float | None,
    *,
    wander: float,
    thickest: int,
) -> Field:
    """A line that wanders from `at`, at first along `heading` (radians; None: any way)."""
    height, width = shape[:2]
    length = min(height, width) * float(np.exp(rng.uniform(np.log(0.06), np.log(0.9))))
    steps = max(3, int(length / 5))
    first = rng.uniform(0, 2 * np.pi) if heading is None else heading + rng.normal(0.0, 0.15)
    headings = first + np.cumsum(rng.normal(0.0, wander, steps))
    x = at[1] + np.cumsum(5 * np.cos(headings))
    y = at[0] + np.cumsum(5 * np.sin(headings))
    points = _fixed_point(np.stack((x, y), axis=-1))
    alpha = np.zeros((height, width), np.float32)
    start = 0
    while start < steps - 1:
        end = min(steps, start + int(rng.integers(3, 12)))
        thickness = 1 + min(int(rng.exponential(0.7)), thickest - 1)
        cv2.polylines(alpha, [points[start:end]], False, 1.0, thickness, cv2.LINE_AA, SUBPIXEL_BITS)
        start = end - 1
    if rng.random() < 0.4:
        alpha = np.minimum(cv2.GaussianBlur(alpha, (0, 0), 0.7) * 1.4, 1.0)
    return alpha


def _hair(shape: tuple[int, ...], at: tuple[int, int], rng: Generator, heading: float) -> Field:
    """A straight line one or two pixels wide that keeps to `heading`, of any length.

    Where it stays within the grain it is as long, thin and straight as no other defect; half of
    them have pixels without a soft edge, as a sharp picture has.
    """
    length = min(shape[:2]) * float(np.exp(rng.uniform(np.log(0.06), np.log(0.9))))
    angle = heading + rng.normal(0.0, HAIR_JITTER)
    half = np.array((np.cos(angle), np.sin(angle))) * length / 2
    middle = np.array((at[1], at[0]), np.float64)
    alpha = np.zeros(shape[:2], np.float32)
    thickness = 1 if rng.random() < 0.7 else 2
    kind = cv2.LINE_AA if rng.random() < 0.5 else cv2.LINE_8
    ends = _fixed_point(np.stack((middle - half, middle + half)))
    cv2.polylines(alpha, [ends], False, 1.0, thickness, kind, SUBPIXEL_BITS)
    return alpha


def _grain_direction(image: Field, at: tuple[int, int]) -> float:
    """Direction, in radians, along which the picture changes least around `at`."""
    grey = _around(image, at).mean(axis=-1)
    dx, dy = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    xx, yy, xy = float((dx * dx).sum()), float((dy * dy).sum()), float((dx * dy).sum())
    across = 0.5 * np.arctan2(2.0 * xy, xx - yy)
    return float(across + np.pi / 2)


def _to_border(shape: tuple[int, ...], at: tuple[int, int], rng: Generator) -> tuple[int, int]:
    """The point moved to a side of the picture, where pieces break out first."""
    row, column = at
    last_row, last_column = shape[0] - 1, shape[1] - 1
    sides = ((0, column), (last_row, column), (row, 0), (row, last_column))
    return sides[rng.integers(len(sides))]


def _ellipse(
    shape: tuple[int, ...], at: tuple[int, int], rng: Generator, *, radius: tuple[float, float]
) -> Field:
    """A turned ellipse whose outline is pushed in and out by noise; edges one pixel soft."""
    height, width = shape[:2]
    size = np.exp(rng.uniform(np.log(radius[0]), np.log(radius[1])))
    aspect = np.exp(rng.uniform(0.0, np.log(3.0)))
    major, minor = size * np.sqrt(aspect), size / np.sqrt(aspect)
    angle = rng.uniform(0, np.pi)
    y = np.arange(height, dtype=np.float32)[:, None] - at[0]
    x = np.arange(width, dtype=np.float32)[None, :] - at[1]
    along = (x * np.cos(angle) + y * np.sin(angle)) / major
    across = (y * np.cos(angle) - x * np.sin(angle)) / minor
    distance = np.sqrt(along**2 + across**2)
    if size > 3:
        cells = int(np.clip(height / size, 2, 32))
        distance = distance * (1 + 0.6 * rng.random() * perlin(height, width, (cells, cells), rng))
    soft: Field = np.clip((1.0 - distance) * minor + 0.5, 0.0, 1.0).astype(np.float32)
    return soft


def _shifted(image: Field, rng: Generator, *, darker: float) -> Field:
    """The image, darker (with that probability) or brighter by a visible amount."""
    amount = _contrast(image) * np.exp(rng.uniform(np.log(0.7), np.log(6.0)))
    if rng.random() < darker:
        # Towards black in proportion to the tone, so that dark surroundings get darker still.
        return image * np.float32(max(0.0, 1.0 - amount / max(float(image.mean()), 0.05)))
    return image + np.float32(amount)


def _contrast(image: Field) -> float:
    """The unit of a defect's strength."""
    return float(image.std()) + 0.02


def _around(image: Field, at: tuple[int, int]) -> Field:
    (row, column), reach = at, REACH
    near: Field = image[max(0, row - reach) : row + reach, max(0, column - reach) : column + reach]
    return near


def _fixed_point(points: NDArray[np.floating]) -> NDArray[np.int32]:
    fixed: NDArray[np.int32] = np.round(points * (1 << SUBPIXEL_BITS)).astype(np.int32)
    return fixed
