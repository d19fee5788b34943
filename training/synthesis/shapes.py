"""Outlines of drawn defects, each in the rectangle of the picture that it needs.

Pictures are float32 [H, W, 3] in 0..1; places are (rows, columns) of them; angles are in radians,
clockwise from the x axis.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from training.synthesis.noise import perlin

Field = NDArray[np.float32]
Place = tuple[slice, slice]
SUBPIXEL_BITS = 4
# Pixels around an outline for its soft edge, and for a lens to spread it.
MARGIN = 8
# Radians by which a line in the grain strays from it.
HAIR_JITTER = 0.015
# Grain is judged within this many pixels of a defect.
REACH = 24
# The finest unevenness is so many pixels across.
FINEST = 3.0


@dataclass(frozen=True)
class Blob:
    """A turned ellipse whose outline is pushed in and out by noise.

    place: where it lies; distance: float32 [h, w], 0 in its middle and 1 on its outline; y, x:
    pixels from its middle, [h, 1] and [1, w]; size, minor: mean and smaller half axis in pixels.
    """

    place: Place
    distance: Field
    y: Field
    x: Field
    size: float
    minor: float

    @property
    def opacity(self) -> Field:
        """1 inside, with an edge of one pixel."""
        soft: Field = np.clip((1.0 - self.distance) * self.minor + 0.5, 0.0, 1.0)
        return soft


def blob(
    shape: tuple[int, ...],
    at: tuple[float, float],
    rng: Generator,
    *,
    size: float,
    stretch: float,
    angle: float,
    rough: float = 0.6,
) -> Blob:
    """A blob around `at`, `stretch` times as long (along `angle`) as it is wide."""
    major, minor = size * np.sqrt(stretch), size / np.sqrt(stretch)
    place = around(shape, at, int(major * (1.0 + rough)) + MARGIN)
    y = np.arange(place[0].start, place[0].stop, dtype=np.float32)[:, None] - np.float32(at[0])
    x = np.arange(place[1].start, place[1].stop, dtype=np.float32)[None, :] - np.float32(at[1])
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    along = (x * cosine + y * sine) / np.float32(major)
    across = (y * cosine - x * sine) / np.float32(minor)
    distance = np.sqrt(along**2 + across**2)
    if size > FINEST:
        # Noise of about the blob's own size.
        distance *= 1 + np.float32(rough * rng.random()) * uneven(distance.shape, size / 1.5, rng)
    return Blob(place, distance, y, x, size, float(minor))


def round_blob(
    shape: tuple[int, ...],
    at: tuple[float, float],
    rng: Generator,
    *,
    size: tuple[float, float],
    longest: float = 3.0,
) -> Blob:
    """A blob of a size within `size`, at any angle, up to `longest` times as long as wide."""
    stretch = log_uniform(rng, 1.0, longest)
    return blob(
        shape,
        at,
        rng,
        size=log_uniform(rng, *size),
        stretch=stretch,
        angle=rng.uniform(0, np.pi),
    )


def bite(shape: tuple[int, ...], edge: tuple[float, float], towards: float, rng: Generator) -> Blob:
    """A ragged piece of an edge, most of it on the side that `towards` points to."""
    depth = log_uniform(rng, 2.5, 18.0)
    length = depth * log_uniform(rng, 0.7, 7.0)
    return blob(
        shape,
        (edge[0] + 0.4 * depth * np.sin(towards), edge[1] + 0.4 * depth * np.cos(towards)),
        rng,
        size=float(np.sqrt(depth * length)),
        stretch=max(depth, length) / min(depth, length),
        angle=towards + (np.pi / 2 if length > depth else 0.0),
        rough=0.9,
    )


def uneven(shape: tuple[int, ...], period: float, rng: Generator) -> Field:
    """Smooth noise of -1..1, one hill for about `period` pixels."""
    cells = [max(1, round(side / max(period, FINEST))) for side in shape[:2]]
    return perlin(shape[0], shape[1], (cells[0], cells[1]), rng)


def around(shape: tuple[int, ...], at: tuple[float, float], reach: int) -> Place:
    """The square of pixels within `reach` of `at`, as far as it lies in the picture."""
    row, column = (int(np.clip(at[axis], 0, shape[axis] - 1)) for axis in (0, 1))
    return (
        slice(max(0, row - reach), min(shape[0], row + reach + 1)),
        slice(max(0, column - reach), min(shape[1], column + reach + 1)),
    )


def bounds(alpha: Field) -> Place:
    """The rectangle around what is not 0, with a margin, so that it is never empty."""
    x, y, width, height = cv2.boundingRect((alpha > 0).astype(np.uint8))
    return (
        slice(max(0, y - MARGIN), min(alpha.shape[0], y + height + MARGIN)),
        slice(max(0, x - MARGIN), min(alpha.shape[1], x + width + MARGIN)),
    )


def wandering(
    shape: tuple[int, ...],
    at: tuple[int, int],
    rng: Generator,
    heading: float | None,
    *,
    wander: float,
    thickest: int,
) -> Field:
    """A line that wanders from `at`, at first along `heading` (None: any way): float32 [H, W]."""
    height, width = shape[:2]
    length = min(height, width) * log_uniform(rng, 0.06, 0.9)
    steps = max(3, int(length / 5))
    first = rng.uniform(0, 2 * np.pi) if heading is None else heading + rng.normal(0.0, 0.15)
    headings = first + np.cumsum(rng.normal(0.0, wander, steps))
    x = at[1] + np.cumsum(5 * np.cos(headings))
    y = at[0] + np.cumsum(5 * np.sin(headings))
    points = fixed_point(np.stack((x, y), axis=-1))
    alpha = np.zeros((height, width), np.float32)
    start = 0
    while start < steps - 1:
        end = min(steps, start + int(rng.integers(3, 12)))
        thickness = 1 + min(int(rng.exponential(0.7)), thickest - 1)
        cv2.polylines(alpha, [points[start:end]], False, 1.0, thickness, cv2.LINE_AA, SUBPIXEL_BITS)
        start = end - 1
    return alpha


def hair(shape: tuple[int, ...], at: tuple[int, int], rng: Generator, heading: float) -> Field:
    """A straight line one or two pixels wide that keeps to `heading`, of any length.

    Where it stays within the grain it is as long, thin and straight as no other defect.
    """
    length = min(shape[:2]) * log_uniform(rng, 0.06, 0.9)
    angle = heading + rng.normal(0.0, HAIR_JITTER)
    half = np.array((np.cos(angle), np.sin(angle))) * length / 2
    middle = np.array((at[1], at[0]), np.float64)
    alpha = np.zeros(shape[:2], np.float32)
    thickness = 1 if rng.random() < 0.7 else 2
    kind = cv2.LINE_AA if rng.random() < 0.5 else cv2.LINE_8
    ends = fixed_point(np.stack((middle - half, middle + half)))
    cv2.polylines(alpha, [ends], False, 1.0, thickness, kind, SUBPIXEL_BITS)
    return alpha


def polygon(shape: tuple[int, ...], points: NDArray[np.floating]) -> Field:
    """A filled polygon with corners (x, y): float32 [H, W]."""
    alpha = np.zeros(shape[:2], np.float32)
    cv2.fillPoly(alpha, [fixed_point(points)], 1.0, cv2.LINE_AA, SUBPIXEL_BITS)
    return alpha


def grain_direction(image: Field, at: tuple[int, int]) -> float:
    """The angle along which the picture changes least around `at`."""
    grey = mean_colour(image[around(image.shape, at, REACH)])
    dx, dy = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    xx, yy, xy = float((dx * dx).sum()), float((dy * dy).sum()), float((dx * dy).sum())
    across = 0.5 * np.arctan2(2.0 * xy, xx - yy)
    return float(across + np.pi / 2)


def edge_point(image: Field, rng: Generator) -> tuple[float, float, float]:
    """A point (row, column) on a strong edge, and the angle towards the brighter side.

    Beyond its border a picture counts as dark: there the part may end as well.
    """
    height, width = (side // 4 for side in image.shape[:2])
    grey = mean_colour(image)
    small = cv2.GaussianBlur(
        cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA), (0, 0), 1
    )
    dx = cv2.Sobel(small, cv2.CV_32F, 1, 0, borderType=cv2.BORDER_CONSTANT)
    dy = cv2.Sobel(small, cv2.CV_32F, 0, 1, borderType=cv2.BORDER_CONSTANT)
    row, column, towards = _drawn_edge(dx, dy, rng)
    jitter = rng.uniform(-4, 4, 2)
    return 4 * row + 2 + float(jitter[0]), 4 * column + 2 + float(jitter[1]), towards


def edge_near(image: Field, at: tuple[int, int], rng: Generator) -> tuple[float, float, float]:
    """A point (row, column) on a strong edge within `REACH` of `at`, and the angle towards the
    brighter side."""
    place = around(image.shape, at, REACH)
    smooth = cv2.GaussianBlur(mean_colour(image[place]), (0, 0), 1.5)
    dx, dy = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    row, column, towards = _drawn_edge(dx, dy, rng)
    return float(place[0].start + row), float(place[1].start + column), towards


def _drawn_edge(dx: NDArray[Any], dy: NDArray[Any], rng: Generator) -> tuple[int, int, float]:
    """A pixel (row, column) drawn by the strength of its slope, and the angle uphill."""
    strength = (dx * dx + dy * dy).ravel().astype(np.float64) + 1e-9
    chosen = int(np.searchsorted(np.cumsum(strength), rng.uniform(0.0, strength.sum())))
    row, column = divmod(min(chosen, strength.size - 1), dx.shape[1])
    return row, column, float(np.arctan2(dy[row, column], dx[row, column]))


def mean_colour(image: Field) -> Field:
    """[H, W, 3] -> [H, W]; several times as fast as `mean`, which is made for long axes."""
    grey: Field = np.einsum("hwc->hw", image) * np.float32(1 / 3)
    return grey


def log_uniform(rng: Generator, low: float, high: float) -> float:
    """Drawn so that every factor is as likely."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def fixed_point(points: NDArray[np.floating]) -> NDArray[np.int32]:
    """Points as OpenCV draws them at fractions of a pixel."""
    fixed: NDArray[np.int32] = np.round(points * (1 << SUBPIXEL_BITS)).astype(np.int32)
    return fixed
