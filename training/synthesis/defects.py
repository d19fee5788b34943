"""Drawn defects: cracks, scratches, spots, broken edges, chips, stains, wrong colours, worn
patches, dents, displaced pieces.

Each painter takes an image float32 [H, W, 3] in 0..1 and gives a `Patch` of it. Most defects let
less light back than a good surface (they are holes, gaps and dirt), so that most are painted
darker; and most have an inside of their own: another tone, a rim, a slope of light.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from training.synthesis.shapes import (
    Blob,
    Field,
    Place,
    around,
    bite,
    blob,
    bounds,
    edge_point,
    grain_direction,
    hair,
    log_uniform,
    polygon,
    round_blob,
    uneven,
    wandering,
)

# Cracks follow the grain more often than chance, and are then hairs more often than not.
ALONG_GRAIN, HAIR = 0.7, 0.9


@dataclass(frozen=True)
class Patch:
    """A rectangle of the picture with a defect: what is painted, float32 [h, w, 3], and how
    opaque it is, float32 [h, w] in 0..1."""

    place: Place
    painted: Field
    opacity: Field


Painter = Callable[[Field, tuple[int, int], Generator], Patch]


def crack(image: Field, at: tuple[int, int], rng: Generator) -> Patch:
    """A wandering line, mostly dark, of uneven width, perhaps branched; or a hair in the grain."""
    heading = grain_direction(image, at) if rng.random() < ALONG_GRAIN else None
    if heading is not None and rng.random() < HAIR:
        return _line(image, hair(image.shape, at, rng, heading), rng, darker=0.9)
    wander = rng.uniform(0.05, 0.6)
    alpha = wandering(image.shape, at, rng, heading, wander=wander, thickest=4)
    if rng.random() < 0.25:
        branch = wandering(image.shape, at, rng, None, wander=0.5, thickest=2)
        alpha = np.maximum(alpha, branch)
    return _line(image, alpha, rng, darker=0.9)


def scratch(image: Field, at: tuple[int, int], rng: Generator) -> Patch:
    """A nearly straight, thin line, bright or dark."""
    if rng.random() < ALONG_GRAIN:
        alpha = hair(image.shape, at, rng, grain_direction(image, at))
    else:
        wander = rng.uniform(0.0, 0.06)
        alpha = wandering(image.shape, at, rng, None, wander=wander, thickest=2)
    return _line(image, alpha, rng, darker=0.5)


def spot(image: Field, at: tuple[int, int], rng: Generator) -> Patch:
    """A hole or inclusion: a small ragged ellipse, often along or across the grain."""
    size, stretch = log_uniform(rng, 2.0, 16.0), log_uniform(rng, 1.0, 4.0)
    angle = rng.uniform(0, np.pi)
    if rng.random() < 0.4:
        angle = grain_direction(image, at) + rng.normal(0, 0.2) + rng.choice((0.0, np.pi / 2))
    shape = blob(image.shape, at, rng, size=size, stretch=stretch, angle=angle)
    tone = image[around(image.shape, at, max(6, int(1.5 * size)))].mean(axis=(0, 1))
    return _hole(image, shape, tone, rng, darker=0.8)


def broken_edge(image: Field, at: tuple[int, int], rng: Generator) -> Patch:
    """A piece broken out of an edge of the part, or of the picture; wherever one is, not `at`."""
    row, column, towards = edge_point(image, rng)
    sine, cosine = np.sin(towards), np.cos(towards)
    shape = bite(image.shape, (row, column), towards, rng)
    reach = rng.uniform(5, 14)
    beside = (row + reach * sine, column + reach * cosine)
    tone = image[around(image.shape, beside, 3)].mean(axis=(0, 1))
    return _hole(image, shape, tone, rng, darker=0.9)


def stain(image: Field, at: tuple[int, int], rng: Generator) -> Patch:
    """A wide patch of changed tone with a soft or a sharp edge; the grain shows through."""
    shape = round_blob(image.shape, at, rng, size=(10.0, 70.0))
    gain = rng.choice((rng.uniform(0.45, 0.9), rng.uniform(1.1, 1.7)))
    tint = 1.0 + rng.normal(0.0, 0.06, 3) * (rng.random() < 0.5)
    painted = image[shape.place] * (gain * tint).astype(np.float32)
    return Patch(shape.place, painted, _perhaps_soft(shape.opacity, rng, most=6.0))


def tinted(image: Field, at: tuple[int, int], rng: Generator) -> Patch:
    """A patch of another colour, of about the light that it had: rust, dye, the wrong part."""
    shape = round_blob(image.shape, at, rng, size=(2.0, 40.0))
    gains = np.exp(rng.normal(0.0, 0.4, 3))
    painted = image[shape.place] * (gains / gains.mean() * rng.uniform(0.7, 1.2)).astype(np.float32)
    return Patch(shape.place, painted, _perhaps_soft(shape.opacity, rng, most=4.0))


def worn(image: Field, at: tuple[int, int], rng: Generator) -> Patch:
    """A patch whose grain is rubbed away or filled, at about the tone that it had."""
    shape = round_blob(image.shape, at, rng, size=(6.0, 60.0))
    smooth = cv2.GaussianBlur(image[shape.place], (0, 0), float(rng.uniform(2, 8)))
    painted = smooth * np.float32(rng.uniform(0.7, 1.15))
    return Patch(shape.place, painted, _perhaps_soft(shape.opacity, rng, most=4.0))


def dent(image: Field, at: tuple[int, int], rng: Generator) -> Patch:
    """A hollow or a bump: bright on the side that faces the light, dark on the other."""
    radius = log_uniform(rng, 3.0, 24.0)
    round_ = blob(image.shape, at, rng, size=1.6 * radius, stretch=1.0, angle=0.0, rough=0.0)
    y, x = round_.y / np.float32(radius), round_.x / np.float32(radius)
    angle = rng.uniform(0, 2 * np.pi)
    slope = (x * np.cos(angle) + y * np.sin(angle)) * np.exp(0.5 - (x**2 + y**2) / 2)
    depth = np.float32((float(image.std()) + 0.02) * log_uniform(rng, 0.7, 4.0))
    painted = image[round_.place] + depth * slope[..., None].astype(np.float32)
    return Patch(round_.place, painted, round_.opacity)


def chip(image: Field, at: tuple[int, int], rng: Generator) -> Patch:
    """A piece broken out: a polygon with straight flanks, filled with a flat, shaded tone."""
    if rng.random() < 0.4:
        at = _to_border(image.shape, at, rng)
    corners = int(rng.integers(3, 7))
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    radii = rng.uniform(5, 40) * rng.uniform(0.4, 1.0, corners)
    points = np.stack((at[1] + radii * np.cos(angles), at[0] + radii * np.sin(angles)), axis=-1)
    alpha = polygon(image.shape, points)
    tone = image[at] if rng.random() < 0.3 else image.reshape(-1, 3).min(axis=0)
    tone = tone * rng.uniform(0.5, 1.2) + rng.uniform(0.0, 0.15)
    place = bounds(alpha)
    shade = 1.0 + 0.3 * uneven(alpha[place].shape, image.shape[0] / 4, rng)[..., None]
    return Patch(place, (tone * shade).astype(np.float32), alpha[place])


def displaced(image: Field, at: tuple[int, int], rng: Generator) -> Patch:
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
        shape = round_blob(image.shape, at, rng, size=(6.0, 50.0))
        return Patch(shape.place, moved[shape.place], shape.opacity)
    half_y, half_x = rng.uniform(4, 50, 2)
    box = cv2.boxPoints(((at[1], at[0]), (2 * half_x, 2 * half_y), float(rng.uniform(0, 90))))
    alpha = polygon(image.shape, np.asarray(box, np.float64))
    place = bounds(alpha)
    return Patch(place, moved[place], alpha[place])


# How often each is drawn. Those that a surface is rejected for on most lines come first; whoever
# learns too much of faint and wide changes finds them everywhere.
PAINTERS: dict[Painter, float] = {
    crack: 4.0,
    spot: 4.0,
    broken_edge: 4.0,
    scratch: 3.0,
    chip: 3.0,
    stain: 0.5,
    worn: 0.5,
    dent: 0.5,
}

# Where there is colour, it may be wrong.
COLOUR_PAINTERS: dict[Painter, float] = {tinted: 2.0}


def _line(image: Field, alpha: Field, rng: Generator, *, darker: float) -> Patch:
    """A line that is now deep and now shallow, as wide as drawn or a pixel wider."""
    place = bounds(alpha)
    opacity = alpha[place]
    if rng.random() < 0.3:
        opacity = cv2.dilate(opacity, np.ones((2, 2), np.uint8)).astype(np.float32)
    deep = 1.15 + rng.uniform(0, 1.2) * uneven(opacity.shape, rng.uniform(6, 24), rng)
    opacity = np.clip(opacity * deep, 0.0, 1.0).astype(np.float32)
    return Patch(place, _other_tone(image[place], rng, darker), opacity)


def _hole(
    image: Field, shape: Blob, tone: NDArray[np.floating], rng: Generator, *, darker: float
) -> Patch:
    """What a hole shows: the grain darkened, blurred or gone, lit from one side, with a rim."""
    under = image[shape.place]
    kind = rng.random()
    if kind < 0.42:
        under = np.broadcast_to(tone, under.shape).astype(np.float32)
    elif kind < 0.7:
        under = cv2.GaussianBlur(under, (0, 0), float(rng.uniform(1, 4))).astype(np.float32)
    turn = rng.uniform(0, 2 * np.pi)
    slope = (shape.x * np.cos(turn) + shape.y * np.sin(turn)) / shape.size
    light = 1.0 + rng.uniform(0, 0.35) * np.clip(slope, -1.5, 1.5)
    if rng.random() < 0.6:
        depth = (1.0 - shape.distance) * shape.minor
        light += rng.uniform(-0.35, 0.3) * np.exp(-((depth / 1.5) ** 2))
    light *= 1.0 + rng.uniform(0, 0.6) * uneven(light.shape, rng.uniform(3, 10), rng)
    painted = _other_tone(under, rng, darker) * light[..., None].astype(np.float32)
    return Patch(shape.place, painted.astype(np.float32), shape.opacity)


def _other_tone(picture: Field, rng: Generator, darker: float) -> Field:
    """The picture nearer to black (with that probability) or to white, by a visible amount."""
    if rng.random() < darker:
        return picture * np.float32(rng.uniform(0.2, 0.8))
    return picture + (1.0 - picture) * np.float32(rng.uniform(0.1, 0.5))


def _perhaps_soft(alpha: Field, rng: Generator, *, most: float) -> Field:
    if rng.random() < 0.5:
        return alpha
    blurred = cv2.GaussianBlur(alpha, (0, 0), float(rng.uniform(1.0, most)))
    return np.minimum(blurred, np.float32(1.0)).astype(np.float32)


def _to_border(shape: tuple[int, ...], at: tuple[int, int], rng: Generator) -> tuple[int, int]:
    """The point moved to a side of the picture, where pieces break out first."""
    row, column = at
    last_row, last_column = shape[0] - 1, shape[1] - 1
    sides = ((0, column), (last_row, column), (row, 0), (row, last_column))
    return sides[rng.integers(len(sides))]
