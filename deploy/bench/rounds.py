"""Interleaved rounds: everyone in turn, again and again, so that all meet the same noise."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

WARM_UP = 2
# A contestant's turn in a round, unless a single call takes longer.
TURN_S = 0.15
MOST_CALLS = 10
# Before a turn: ONNX Runtime's threads ask for the core for 30 ms after their last call, and slow
# whoever follows by two thirds.
REST_S = 0.05
# Then calls that are not timed, for as long for everyone, and one at least: the first finds the
# caches full of somebody else's weights, and cores that have just woken may be half as fast.
WARM_S = 0.05
# One that takes seconds a call has its turn in this many rounds only, and warms itself.
SLOW_S, SLOW_ROUNDS = 2.0, 3


@dataclass
class Contestant:
    """Something to time: `call` does one frame.

    gflop: operations of one frame; milliseconds: of every timed call; input_size: (height, width)
    of the frame.
    """

    name: str
    runtime: str
    precision: str
    gflop: float
    call: Callable[[], object]
    milliseconds: list[float] = field(default_factory=list)
    device: str = "CPU"
    input_size: tuple[int, int] = (256, 256)

    @property
    def p50_ms(self) -> float:
        """Median of all calls."""
        return float(np.percentile(self.milliseconds, 50))

    @property
    def p99_ms(self) -> float:
        """99th percentile of all calls."""
        return float(np.percentile(self.milliseconds, 99))

    @property
    def gop_s(self) -> float:
        """10^9 operations a second, of the median."""
        return self.gflop / self.p50_ms * 1e3


def run_rounds(
    contestants: list[Contestant], rounds: int, progress: Callable[[Iterable[int]], Iterable[int]]
) -> None:
    """Time everyone in `rounds` interleaved rounds.

    Args:
        progress: wraps the numbers of the rounds, as `tqdm` does.
    """
    calls = {}
    for contestant in contestants:
        for _ in range(WARM_UP):
            started = time.perf_counter()
            contestant.call()
            once_s = time.perf_counter() - started
            if once_s > SLOW_S:
                break
        calls[contestant.name, contestant.runtime, contestant.precision] = (
            int(np.clip(TURN_S / max(once_s, 1e-6), 1, MOST_CALLS)),
            once_s > SLOW_S,
        )
    for turn in progress(range(rounds)):
        for contestant in contestants:
            count, slow = calls[contestant.name, contestant.runtime, contestant.precision]
            if slow and turn >= SLOW_ROUNDS:
                continue
            time.sleep(REST_S)
            if not slow:
                warm_s = time.perf_counter() + WARM_S
                contestant.call()
                while time.perf_counter() < warm_s:
                    contestant.call()
            for _ in range(count):
                started_ns = time.perf_counter_ns()
                contestant.call()
                contestant.milliseconds.append((time.perf_counter_ns() - started_ns) / 1e6)
