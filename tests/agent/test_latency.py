"""One image's latency is the time of one image."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from agent import latency
from agent.engine import Engine, Fingerprint
from agent.engine.base import MAP, RECONSTRUCTION, SCORE
from agent.latency import WARM_UP, measure_latency
from agent.manifest import Tiles
from agent.view import View

SIZE = (8, 8)
FRAMES = np.stack([np.full((*SIZE, 3), value, np.uint8) for value in range(4)])


class Clock:
    """A clock that only moves when an engine works."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s

    def perf_counter_ns(self) -> int:
        return round(self.now_s * 1e9)


class TimedEngine(Engine):
    """Takes 2 ms for most calls and 50 ms for every 20th and while it warms up."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(Fingerprint(runtime="r", version="1", device="d", precision="p"), SIZE)
        self.clock, self.calls, self.seen = clock, 0, set[int]()

    def _run(self, frame: NDArray[np.uint8]) -> dict[str, NDArray]:
        self.seen.add(int(frame[0, 0, 0]))
        self.calls += 1
        slow = self.calls <= WARM_UP or (self.calls - WARM_UP) % 20 == 0
        self.clock.now_s += 0.050 if slow else 0.002
        return {
            SCORE: np.zeros(1, np.float32),
            MAP: np.zeros((1, *SIZE), np.float32),
            RECONSTRUCTION: np.zeros((1, *SIZE, 3), np.uint8),
        }

    def close(self) -> None: ...


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> TimedEngine:
    clock = Clock()
    monkeypatch.setattr(latency, "time", clock)
    return TimedEngine(clock)


def test_each_frame_is_timed_alone_after_a_warm_up(engine: TimedEngine) -> None:
    found = measure_latency(engine, View(SIZE), FRAMES, samples=100)
    assert found.samples == 100
    assert engine.calls == 100 + WARM_UP
    assert found.p50_ms == pytest.approx(2)
    assert found.p99_ms == pytest.approx(50)
    assert engine.seen == {0, 1, 2, 3}


@pytest.mark.parametrize(("limit_s", "samples"), [(0.05, 25), (0.0, 10)])
def test_a_slow_engine_is_not_timed_for_ever(
    engine: TimedEngine, limit_s: float, samples: int
) -> None:
    found = measure_latency(engine, View(SIZE), FRAMES, samples=1000, limit_s=limit_s)
    assert 10 <= found.samples <= samples


def test_a_part_of_three_tiles_takes_three_times_as_long(engine: TimedEngine) -> None:
    view = View(SIZE, tiles=Tiles(columns=3))
    found = measure_latency(engine, view, FRAMES, samples=90)
    assert found.p50_ms == pytest.approx(6.0)
    assert found.samples == 90 and engine.seen == {0, 1, 2, 3}
