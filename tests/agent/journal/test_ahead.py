"""The ahead log holds what is not yet committed, in order, and knows when it has no room."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.journal import ahead as ahead_module
from agent.journal.ahead import AheadLog, Entry

HALF = 1000


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(ahead_module, "HALF_BYTES", HALF)
    return tmp_path / "journal.db.ahead"


@pytest.fixture
def log(path: Path) -> Iterator[AheadLog]:
    log = AheadLog(path)
    yield log
    log.close()


def entry(ticket: int, size: int = 50) -> Entry:
    return Entry(1, ticket, ["open", "x" * size, None])


def tickets(path: Path) -> list[int]:
    """What a process that starts after a kill would find."""
    other = AheadLog(path)
    found = [each.ticket for each in other.entries()]
    other.close()
    return found


def test_what_was_added_is_found_by_the_next_process(log: AheadLog, path: Path) -> None:
    assert tickets(path) == []
    for ticket in (1, 2, 3):
        assert log.add(entry(ticket), committed=0)
    assert tickets(path) == [1, 2, 3]
    assert log.entries()[1] == entry(2)


def test_the_newest_are_always_there_while_commits_follow(log: AheadLog, path: Path) -> None:
    for ticket in range(1, 200):
        assert log.add(entry(ticket), committed=ticket - 3)
        found = tickets(path)
        assert found == list(range(found[0], ticket + 1))
        assert found[0] <= max(1, ticket - 3)


def test_what_is_not_committed_is_never_written_over(log: AheadLog, path: Path) -> None:
    added = [ticket for ticket in range(1, 100) if log.add(entry(ticket), committed=0)]
    assert tickets(path) == added == list(range(1, len(added) + 1))
    assert not log.add(entry(100), committed=0)
    assert log.add(entry(101), committed=99)
    assert tickets(path)[-1] == 101


def test_a_record_that_never_fits_is_refused(log: AheadLog, path: Path) -> None:
    assert not log.add(entry(1, size=2 * HALF), committed=0)
    assert log.add(entry(2), committed=0)
    assert tickets(path) == [2]


def test_a_record_that_a_power_loss_has_torn_ends_what_is_found(log: AheadLog, path: Path) -> None:
    for ticket in (1, 2, 3):
        log.add(entry(ticket), committed=0)
    data = bytearray(path.read_bytes())
    length = data.index(b"[1, 2") - 8  # where the second record begins
    data[length + 20] ^= 1
    path.write_bytes(data)
    assert tickets(path) == [1]


def test_cleared_it_is_empty(log: AheadLog, path: Path) -> None:
    log.add(entry(1), committed=0)
    log.clear()
    assert tickets(path) == []
    log.add(entry(2), committed=1)
    assert tickets(path) == [2]
