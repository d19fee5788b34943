"""How long an engine takes for one frame."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.engine import Engine

WARM_UP = 5
FEWEST = 10


@dataclass(frozen=True)
class Latency:
    """Of `samples` frames inspected one after the other, each timed alone, ms."""

    p50_ms: float
    p99_ms: float
    samples: int


def measure_latency(
    engine: Engine, frames: NDArray[np.uint8], *, samples: int = 200, limit_s: float = 3.0
) -> Latency:
    """Time `engine.infer`, copies and checks included, on the frames in turn.

    Args:
        engine: loaded; it is warmed up first.
        frames: uint8 [N, H, W, 3] BGR at the engine's input size.
        samples: how many calls to time.
        limit_s: stop after this time even so, but not before ten calls.
    """
    for index in range(WARM_UP):
        engine.infer(frames[index % len(frames)])
    taken: list[float] = []
    end = time.monotonic() + limit_s
    while len(taken) < samples and (len(taken) < FEWEST or time.monotonic() < end):
        frame = frames[len(taken) % len(frames)]
        started_ns = time.perf_counter_ns()
        engine.infer(frame)
        taken.append((time.perf_counter_ns() - started_ns) / 1e6)
    p50, p99 = np.percentile(taken, [50, 99])
    return Latency(float(p50), float(p99), len(taken))
