"""What happens to the shape and the finish of an object: bent, bitten off, worn bare, made up of
pieces that belong elsewhere.

A texture has no shape, and another piece of it in the same place is as good as the first: these
are for objects alone. Most of them bring no tone that the part does not have nearby, and so have to
be known by what should be there.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator

from training.synthesis.defects import PAINTERS, Painter, Patch, broken_edge, displaced
from training.synthesis.shapes import (
    Blob,
    Field,
    around,
    bite,
    edge_near,
    log_uniform,
    mean_colour,
    round_blob,
    uneven,
)

# What moves by less than this, of full scale, has not changed to the eye.
NOTICED = 0.04


def bent(image: Field, at: tuple[int, int], rng: Generator) -> Patch:
    """A piece of the outline pushed aside, pulled out, squeezed or twisted."""
    row, column = (int(v) for v in edge_near(image, at, rng)[:2])
    radius = log_uniform(rng, 5.0, 32.0)
    place = around(image.shape, (row, column), int(radius) + 1)
    y = np.arange(place[0].start, place[0].stop, dtype=np.float32)[:, None] - np.float32(row)
    x = np.arange(place[1].start, place[1].stop, dtype=np.float32)[None, :] - np.float32(column)
    # A hill without an edge: nothing is torn.
    hill = np.clip(1.0 - (x**2 + y**2) / np.float32(radius**2), 0.0, 1.0) ** 2
    kind = rng.random()
    if kind < 0.6:
        angle, reach = rng.uniform(0, 2 * np.pi), radius * rng.uniform(0.15, 0.6)
        right, down = hill * np.cos(angle) * reach, hill * np.sin(angle) * reach
    elif kind < 0.8:
        scale = rng.choice((rng.uniform(-0.8, -0.3), rng.uniform(0.3, 0.8)))
        right, down = hill * x * scale, hill * y * scale
    else:
        turn = rng.uniform(0.4, 1.5) * rng.choice((-1, 1))
        right, down = -hill * y * turn, hill * x * turn
    height, width = image.shape[:2]
    from_x = np.clip(x + np.float32(column) + right, 0, width - 1).astype(np.float32)
    from_y = np.clip(y + np.float32(row) + down, 0, height - 1).astype(np.float32)
    moved = cv2.remap(image, from_x, from_y, cv2.INTER_LINEAR).astype(np.float32)
    return Patch(place, moved, _where_changed(image[place], moved))


def bitten(image: Field, at: tuple[int, int], rng: Generator) -> Patch:
    """A piece missing from an outline, or sticking out of it: one side goes over into the other."""
    row, column, towards = edge_near(image, at, rng)
    if rng.random() < 0.5:
        towards += np.pi
    shape = bite(image.shape, (row, column), towards, rng)
    reach = rng.uniform(4, 12)
    beyond = (row - reach * np.sin(towards), column - reach * np.cos(towards))
    tone = image[around(image.shape, beyond, 2)].mean(axis=(0, 1)) * rng.uniform(0.85, 1.15)
    under = image[shape.place]
    light = 1.0 + rng.uniform(0, 0.1) * uneven(under.shape, rng.uniform(3, 10), rng)
    painted = (tone * light[..., None]).astype(np.float32)
    return Patch(shape.place, painted, shape.opacity * _where_changed(under, painted))


def grafted(image: Field, at: tuple[int, int], rng: Generator) -> Patch:
    """The detail of a place nearby, turned and at another distance, in the light of this one."""
    shape = round_blob(image.shape, at, rng, size=(4.0, 30.0))
    under = image[shape.place]
    aside, bearing = log_uniform(rng, 3.0, min(image.shape[:2]) / 4), rng.uniform(0, 2 * np.pi)
    degrees = rng.uniform(-180, 180) if rng.random() < 0.5 else 0.0
    move = cv2.getRotationMatrix2D((at[1], at[0]), degrees, log_uniform(rng, 0.7, 1.4))
    left, top = shape.place[1].start, shape.place[0].start
    move[:, 2] += (aside * np.cos(bearing) - left, aside * np.sin(bearing) - top)
    height, width = under.shape[:2]
    other = cv2.warpAffine(image, move, (width, height), borderMode=cv2.BORDER_REFLECT)
    light = cv2.GaussianBlur(under - other, (0, 0), float(rng.uniform(3, 12)))
    painted = (other + light).astype(np.float32)
    return Patch(shape.place, painted, shape.opacity * _where_changed(under, painted))


def bare(image: Field, at: tuple[int, int], rng: Generator) -> Patch:
    """A patch rubbed down to what shines: bright, of little detail, streaked one way."""
    shape = round_blob(image.shape, at, rng, size=(2.5, 20.0), longest=4.0)
    under = image[shape.place]
    smooth = cv2.GaussianBlur(under, (0, 0), float(rng.uniform(0.7, 4))).reshape(under.shape)
    lit = smooth + (1.0 - smooth) * np.float32(rng.uniform(0.08, 0.5))
    light = 1.0 + rng.uniform(0, 0.25) * _streaks(shape, rng)
    return Patch(shape.place, (lit * light[..., None]).astype(np.float32), shape.opacity)


def _streaks(shape: Blob, rng: Generator) -> Field:
    """Parallel stripes of -1..1 at any angle and distance."""
    turn = rng.uniform(0, np.pi)
    across = shape.x * np.cos(turn) + shape.y * np.sin(turn)
    wave = np.sin(2 * np.pi * across / rng.uniform(2.5, 8) + 2 * uneven(across.shape, 12, rng))
    return wave.astype(np.float32)


def _where_changed(before: Field, after: Field) -> Field:
    """Opacity [h, w] of what differs to the eye, small gaps closed."""
    size = cv2.GaussianBlur(mean_colour(np.abs(after - before)), (0, 0), 1.0)
    changed = (size > NOTICED).astype(np.float32)
    closed = cv2.morphologyEx(changed, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    return cv2.dilate(closed, np.ones((3, 3), np.uint8)).astype(np.float32)


# What an object is rejected for; its edge breaks off by `bitten`, which knows both of its sides.
OBJECT_PAINTERS: dict[Painter, float] = {
    **{painter: share for painter, share in PAINTERS.items() if painter is not broken_edge},
    bent: 5.0,
    bitten: 4.0,
    grafted: 5.0,
    bare: 4.0,
    displaced: 2.0,
}
