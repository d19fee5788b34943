"""A machine that has slept is noticed once; one that is only busy never."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from agent import sleep
from agent.sleep import SleepWatch


def test_a_sleep_is_told_once_and_a_slow_look_at_the_clocks_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    awake_s, asleep_s = 100.0, 0.0
    held_up: list[float] = []  # for how long after each look at a clock

    def monotonic() -> float:
        nonlocal awake_s
        awake_s += held_up.pop(0) if held_up else 0.0
        return awake_s

    clocks = SimpleNamespace(
        CLOCK_BOOTTIME="boot", clock_gettime=lambda _: monotonic() + asleep_s, monotonic=monotonic
    )
    monkeypatch.setattr(sleep, "time", clocks)
    held_up += [0.0, 5.0]
    watch = SleepWatch()
    assert not watch.has_slept()
    asleep_s = 3.0
    assert watch.has_slept()
    assert not watch.has_slept()
    held_up += [0.0, 5.0, 0.0, 0.0, 0.0, 7.0]
    assert not watch.has_slept()
    assert not watch.has_slept()
    asleep_s = 3.2
    assert watch.has_slept()
