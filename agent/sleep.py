"""Noticing that the machine has slept."""

from __future__ import annotations

import time

# More than two clocks differ by because they are read one after the other.
LEAST_S = 0.1


class SleepWatch:
    """Tells that the machine was suspended: the monotonic clock stood still, and parts went on."""

    def __init__(self) -> None:
        self._asleep_s = _asleep_s()

    def has_slept(self) -> bool:
        """Whether it was, since this was asked last."""
        asleep_s = _asleep_s()
        if asleep_s - self._asleep_s <= LEAST_S:
            return False
        self._asleep_s = asleep_s
        return True


def _asleep_s() -> float:
    """Since boot. Whoever is held up between the two clocks reads them again."""
    while True:
        before_s = time.monotonic()
        asleep_s = time.clock_gettime(time.CLOCK_BOOTTIME) - before_s
        if time.monotonic() - before_s < LEAST_S / 2:
            return asleep_s
