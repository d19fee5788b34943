"""What goes wrong with a flange, each kind from barely to clearly visible.

Every function draws one defect into a canvas, in the part's own frame, and marks its pixels.
`severity` is 0 for what a careful eye just finds and 1 for what nobody misses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from agent.camera.product import geometry, mark
from agent.camera.product.geometry import CENTRE, LIGHT, SIZE, Layer, layers

Point = NDArray[np.float64]
SUBPIXEL_BITS = 4


@dataclass
class Canvas:
    """A part in the making: layers as in `geometry.Layers`, float32 [SIZE, SIZE].

    rust: share of colour taken by corrosion; mask: uint8, 255 where the part is defective.
    """

    shade: Layer
    metal: Layer
    brushed: Layer
    rust: Layer
    mask: NDArray[np.uint8]

    @classmethod
    def perfect(cls) -> Canvas:
        part = layers()
        nothing = np.zeros((SIZE, SIZE), np.float32)
        mask = np.zeros((SIZE, SIZE), np.uint8)
        shade = part.shade + mark.perfect()
        return cls(shade, part.metal.copy(), part.brushed.copy(), nothing, mask)


def scratch(canvas: Canvas, random: Generator, severity: float) -> None:
    """A tool or a neighbour slid over the face: a long thin line with a lit lip."""
    middle, heading = _face_spot(random), random.uniform(0, np.pi)
    half = _between(16, 42, severity) * random.uniform(0.8, 1.2)
    bend = random.uniform(-0.18, 0.18) * half
    along = np.array([np.cos(heading), np.sin(heading)])
    across = np.array([-along[1], along[0]])
    steps = np.linspace(-1, 1, 24)[:, None]
    line = _stroke(middle + half * steps * along + bend * steps**2 * across, severity > 0.6)
    lip = np.roll(line, (1, 1), (0, 1))
    depth = np.float32(_between(0.17, 0.42, severity))
    canvas.shade += depth * (0.6 * lip - line) if random.random() < 0.5 else depth * line
    _mark(canvas, line)


def dent(canvas: Canvas, random: Generator, severity: float) -> None:
    """Something fell on it: a hollow, dark on the side of the lamp and bright on the other."""
    x, y = _face_spot(random)
    width = _between(4.0, 7.5, severity) * random.uniform(0.85, 1.15)
    dx, dy = _offsets(x, y)
    # A product of two narrow exponentials is that of the square of the distance.
    falloff = np.float32(2 * width**2)
    bump = np.exp(-(dx**2) / falloff) * np.exp(-(dy**2) / falloff)
    slope = -(dx * np.float32(LIGHT[0] / width) + dy * np.float32(LIGHT[1] / width))
    depth = np.float32(_between(0.17, 0.42, severity))
    canvas.shade += depth * (slope - np.float32(0.25)) * bump
    _mark(canvas, np.hypot(dx, dy) < 2 * width)


def corrosion(canvas: Canvas, random: Generator, severity: float) -> None:
    """Rust or a burnt-in stain: an uneven brown patch."""
    x, y = _face_spot(random)
    size = _between(6, 15, severity) * random.uniform(0.85, 1.15)
    dx, dy = _offsets(x, y)
    uneven = 0.6 * _cloud(40, random) + 0.3 * _cloud(110, random)
    patch = np.clip(2.2 - np.hypot(dx, dy) * np.float32(2 / size) + uneven, 0, 1)
    canvas.rust += np.float32(_between(0.30, 0.85, severity)) * patch
    _mark(canvas, patch > 0.3)


def chipped_edge(canvas: Canvas, random: Generator, severity: float) -> None:
    """A piece of the rim has broken off: the floor shows, the break is bright."""
    angle = random.uniform(0, 2 * np.pi)
    x, y = CENTRE + (geometry.RIM + 1) * np.array([np.cos(angle), np.sin(angle)])
    size = _between(5, 14, severity)
    turns = np.linspace(0, 2 * np.pi, 14, endpoint=False)
    reach = size * random.uniform(0.65, 1.15, turns.size)
    corners = np.column_stack([x + reach * np.cos(turns), y + reach * np.sin(turns)])
    chip = _polygon(corners)
    edge = cv2.GaussianBlur(chip, (0, 0), 1.5)
    _mark(canvas, (chip > 0.5) & (canvas.metal > 0.5))
    canvas.shade += np.float32(_between(0.10, 0.25, severity)) * edge
    canvas.metal *= 1 - chip


def missing_hole(canvas: Canvas, random: Generator, severity: float) -> None:
    """A bolt hole was left out, or only started: the drill's shallow dimple is there or not."""
    x, y = geometry.bolt_centre(int(random.integers(geometry.BOLT_COUNT)))
    dx, dy = _offsets(x, y)
    distance = np.hypot(dx, dy)
    around = distance < geometry.BOLT_CHAMFER + 2
    plain = layers(holes=False)
    canvas.shade[around] = plain.shade[around]
    canvas.metal[around] = plain.metal[around]
    canvas.brushed[around] = plain.brushed[around]
    if severity < 0.5:
        dimple = np.clip(geometry.BOLT_HOLE - 1 - distance, 0, 1).astype(np.float32)
        canvas.brushed *= 1 - dimple
        canvas.shade -= np.float32(_between(0.45, 0.25, severity)) * dimple
    _mark(canvas, distance < geometry.BOLT_CHAMFER)


def bad_mark(canvas: Canvas, random: Generator, severity: float) -> None:
    """The stamp missed, hit twice or wore away: the mark is absent, wrong or incomplete."""
    (x, y), (width, height) = mark.AT, mark.BOX
    dx, dy = _offsets(x, y)
    box = (np.abs(dx) < width / 2) & (np.abs(dy) < height / 2)
    if severity > 0.7:
        lost = box
    elif severity > 0.35:
        lost = box
        wrong = layers().shade + mark.stamp("".join(random.choice(mark.WRONG, len(mark.TEXT))))
        canvas.shade[box] = wrong[box]
    else:
        left = random.uniform(-0.5, 0.0)
        lost = box & (dx > left * width) & (dx < (left + 0.45) * width)
    if severity > 0.7 or severity <= 0.35:
        canvas.shade[lost] = layers().shade[lost]
    _mark(canvas, lost)


def crack(canvas: Canvas, random: Generator, severity: float) -> None:
    """Metal that tore from a hole outwards: a thin dark jagged line, sometimes forked."""
    if random.random() < 0.6:
        start_radius = geometry.BOLT_CHAMFER - 1
        origin = geometry.bolt_centre(int(random.integers(geometry.BOLT_COUNT)))
    else:
        start_radius, origin = geometry.CHAMFER, np.array([CENTRE, CENTRE])
    heading = random.uniform(0, 2 * np.pi)
    start = origin + start_radius * np.array([np.cos(heading), np.sin(heading)])
    path = _jagged(start, heading, round(_between(7, 15, severity)), random)
    line = _stroke(path, severity > 0.75)
    if random.random() < 0.5:
        fork = _jagged(path[len(path) // 2], heading + random.choice([-0.7, 0.7]), 5, random)
        line = np.maximum(line, _stroke(fork, False))
    line = line * canvas.metal
    canvas.shade -= np.float32(_between(0.22, 0.50, severity)) * line
    _mark(canvas, line)


KINDS: dict[str, Callable[[Canvas, Generator, float], None]] = {
    function.__name__: function
    for function in (
        scratch,
        dent,
        corrosion,
        chipped_edge,
        missing_hole,
        bad_mark,
        crack,
    )
}


def _between(barely: float, clearly: float, severity: float) -> float:
    return barely + (clearly - barely) * severity


def _offsets(x: float, y: float) -> tuple[Layer, Layer]:
    """Distance of every column and row from a point, ready to broadcast to [SIZE, SIZE]."""
    axis = np.arange(SIZE, dtype=np.float32)
    return (axis - np.float32(x))[None, :], (axis - np.float32(y))[:, None]


def _cloud(cells: int, random: Generator) -> Layer:
    noise = random.standard_normal((cells, cells), dtype=np.float32)
    return np.asarray(cv2.resize(noise, (SIZE, SIZE)), np.float32)


def _face_spot(random: Generator) -> Point:
    """A point (x, y) on the face, clear of edges, bolt holes and the mark."""
    while True:
        angle = random.uniform(0, 2 * np.pi)
        radius = random.uniform(geometry.GROOVE + 10, geometry.FACE - 12)
        spot = CENTRE + radius * np.array([np.cos(angle), np.sin(angle)])
        holes = [np.hypot(*(spot - geometry.bolt_centre(n))) for n in range(geometry.BOLT_COUNT)]
        off_mark = np.abs(spot - mark.AT) > np.array(mark.BOX) / 2
        if min(holes) > geometry.BOLT_CHAMFER + 6 and off_mark.any():
            return spot


def _jagged(start: Point, heading: float, steps: int, random: Generator) -> Point:
    turns = heading + np.cumsum(random.normal(0, 0.35, steps))
    moves = random.uniform(2, 4.5, steps)[:, None] * np.column_stack([np.cos(turns), np.sin(turns)])
    return np.vstack([start, start + np.cumsum(moves, 0)])


def _stroke(points: Point, thick: bool) -> Layer:
    """A soft line through points (x, y): float32, 1 on the line."""
    layer = np.zeros((SIZE, SIZE), np.uint8)
    fixed = np.round(points * 2**SUBPIXEL_BITS).astype(np.int32)
    cv2.polylines(layer, [fixed], False, 255, 2 if thick else 1, cv2.LINE_AA, SUBPIXEL_BITS)
    return layer / np.float32(255)


def _polygon(corners: Point) -> Layer:
    layer = np.zeros((SIZE, SIZE), np.uint8)
    fixed = np.round(corners * 2**SUBPIXEL_BITS).astype(np.int32)
    cv2.fillPoly(layer, [fixed], 255, cv2.LINE_AA, SUBPIXEL_BITS)
    return layer / np.float32(255)


def _mark(canvas: Canvas, where: NDArray[np.bool_] | Layer) -> None:
    canvas.mask[where > 0.3 if where.dtype != np.bool_ else where] = 255
