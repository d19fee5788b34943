"""How long an engine takes for one part, all its tiles together."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.engine import Engine
from agent.inspection import inspect
from agent.view import View

WARM_UP = 5
FEWEST = 10


@dataclass(frozen=True)
class Latency:
    """Of `samples` parts inspected one after the other, each timed alone, ms."""

    p50_ms: float
    p99_ms: float
    samples: int


def measure_latency(
    engine: Engine,
    view: View,
    frames: NDArray[np.uint8],
    *,
    samples: int = 200,
    limit_s: float = 3.0,
) -> Latency:
    """Time the inspection of parts that show the frames in turn: what a deadline has to hold.

    Args:
        engine: loaded; it is warmed up first.
        view: of the engine's bundle; a part has as many frames as it has tiles.
        frames: uint8 [N, H, W, 3] BGR at the engine's input size.
        samples: how many calls to time.
        limit_s: stop after this time even so, but not before ten calls.
    """
    parts = [_part(view, np.roll(frames, -first, axis=0)) for first in range(len(frames))]
    for index in range(WARM_UP):
        inspect(engine, view, parts[index % len(parts)])
    taken: list[float] = []
    end = time.monotonic() + limit_s
    while len(taken) < samples and (len(taken) < FEWEST or time.monotonic() < end):
        part = parts[len(taken) % len(parts)]
        started_ns = time.perf_counter_ns()
        inspect(engine, view, part)
        taken.append((time.perf_counter_ns() - started_ns) / 1e6)
    p50, p99 = np.percentile(taken, [50, 99])
    return Latency(float(p50), float(p99), len(taken))


def _part(view: View, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A canvas, uint8 [H, W, 3], of a frame in every tile, in turn."""
    height, width = view.input_size
    canvas = np.zeros((*view.canvas_size, 3), np.uint8)
    for index, (y, x) in enumerate(view.places):
        canvas[y : y + height, x : x + width] = frames[index % len(frames)]
    return canvas
