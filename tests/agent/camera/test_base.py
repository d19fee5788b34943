"""Pace and settings digest."""

from __future__ import annotations

import pytest

from agent.camera import base
from agent.camera.base import Pace, settings_digest


class Clock:
    """Time that passes only when somebody sleeps or works."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(base, "time", clock)
    return clock


def test_work_between_frames_does_not_slow_the_rate(clock: Clock):
    pace = Pace(10)
    for _ in range(50):
        pace.wait()
        clock.sleep(0.07)
    # The first frame is due at 100.0 and the fiftieth 49 periods later.
    assert clock.now == pytest.approx(100.0 + 49 * 0.1 + 0.07)


def test_a_long_pause_is_not_caught_up_in_a_burst(clock: Clock):
    pace = Pace(10)
    pace.wait()
    clock.sleep(5)
    pace.wait()
    resumed = clock.now
    pace.wait()
    assert clock.now - resumed == pytest.approx(0.1)


def test_rate_zero_never_waits(clock: Clock):
    pace = Pace(0)
    for _ in range(5):
        pace.wait()
    assert clock.now == 100.0


def test_the_digest_depends_on_values_and_not_on_their_order():
    settings = {"scheme": "v4l2", "width": 640, "exposure": 157.0}
    assert settings_digest(settings) == settings_digest(dict(reversed(settings.items())))
    assert settings_digest(settings) != settings_digest({**settings, "exposure": 158.0})
    assert len(settings_digest(settings)) == 64
