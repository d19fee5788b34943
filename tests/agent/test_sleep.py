"""A machine that has slept is noticed once; one that is only busy never."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from agent import sleep
from agent.sleep import SleepWatch


def test_a_sleep_is_told_once_and_a_slow_look_at_the_clocks_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    boot_s, awake_s = 100.0, 100.0
    clocks = SimpleNamespace(
        CLOCK_BOOTTIME="boot", clock_gettime=lambda _: boot_s, monotonic=lambda: awake_s
    )
    monkeypatch.setattr(sleep, "time", clocks)
    watch = SleepWatch()
    boot_s, awake_s = 200.0, 200.0
    assert not watch.has_slept()
    boot_s = 203.0  # three seconds of it asleep
    assert watch.has_slept()
    assert not watch.has_slept()
    awake_s = 201.0  # held up between the two clocks
    assert not watch.has_slept()
    awake_s = 200.0
    assert not watch.has_slept()
    boot_s = 203.2
    assert watch.has_slept()
