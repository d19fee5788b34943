"""What no limit of ZeroMQ counts is noticed, and is not taken for what it is not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agent.messaging.memory import MARGIN, MemoryGuard

START = 300_000_000


class Measured(MemoryGuard):
    """A guard that is told how much memory is in use."""

    in_use = START

    def _in_use(self) -> int:
        return self.in_use

    def at(self, in_use: int) -> bool:
        self.in_use = in_use
        return self.is_overrun()


@pytest.fixture
def guard() -> Iterator[Measured]:
    guard = Measured()
    yield guard
    guard.close()


def test_a_station_may_grow_so_far(guard: Measured) -> None:
    assert not any(guard.at(START + each) for each in (0, MARGIN // 2, MARGIN, 0, MARGIN))


def test_what_no_peer_has_filled_ends_the_connections_once(guard: Measured) -> None:
    assert guard.at(START + MARGIN + 1)
    assert not any(guard.at(START + MARGIN + 1) for _ in range(100))
    assert not guard.at(START + 2 * MARGIN + 1)
    assert guard.at(START + 2 * MARGIN + 2)


def test_a_peer_that_comes_again_gets_no_further_than_before(guard: Measured) -> None:
    for _ in range(3):
        assert guard.at(START + MARGIN + 1)
        assert not guard.at(START + MARGIN)  # its connection is about to end
        assert not guard.at(START)


def test_a_guard_measures_what_is_in_use() -> None:
    guard = MemoryGuard()
    before = guard._in_use()
    filled = bytearray(b"x" * 50_000_000)
    assert guard._in_use() - before >= len(filled) / 2
    assert not guard.is_overrun()
    guard.close()
