"""The ahead log holds what is not yet committed, in order, and knows when it has no room."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.journal import ahead as ahead_module
from agent.journal.ahead import AheadLog, Entry, read_entries

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
    return sorted(each.ticket for each in read_entries(path))


def test_what_was_added_is_found_by_the_next_process(log: AheadLog, path: Path) -> None:
    assert tickets(path) == []
    for ticket in (1, 2, 3):
        assert log.add(entry(ticket), committed=0)
    assert tickets(path) == [1, 2, 3]
    assert read_entries(path)[1] == entry(2)


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


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    """Of the file that is mapped in place of the disk's."""
    (tmp_path / "run").mkdir()
    return tmp_path / "run" / "memory.ahead"


def test_in_memory_it_writes_to_the_disk_no_more_than_it_is_told_to(
    path: Path, memory: Path
) -> None:
    log = AheadLog(path, memory)
    empty = path.read_bytes()
    assert log.add(entry(1), committed=0)
    assert (tickets(memory), path.read_bytes()) == ([1], empty)
    log.save()
    assert tickets(memory) == tickets(path) == [1]
    log.clear()
    assert tickets(memory) == tickets(path) == []
    log.close()


def test_however_often_it_is_saved_the_disk_has_what_is_not_committed(
    path: Path, memory: Path
) -> None:
    """Through many turns of both halves."""
    log = AheadLog(path, memory)
    for ticket in range(1, 200):
        assert log.add(entry(ticket), committed=ticket - 3)
        if ticket % 7 in (0, 1, 4):
            log.save()
            assert read_entries(path) == read_entries(memory)
    log.close()


def test_what_came_while_it_was_saved_is_saved_the_next_time(
    path: Path, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = AheadLog(path, memory)
    log.add(entry(1), committed=0)
    fsync = os.fsync

    def fsync_and_add(descriptor: int) -> None:
        fsync(descriptor)
        log.add(entry(2), committed=0)

    with monkeypatch.context() as patch:
        patch.setattr(ahead_module.os, "fsync", fsync_and_add)
        log.save()
    assert tickets(path) == [1]
    log.save()
    assert tickets(path) == [1, 2]
    log.close()


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), MemoryError()])
def test_what_the_disk_did_not_take_is_saved_the_next_time(
    path: Path, memory: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(_: int) -> None:
        raise error

    log = AheadLog(path, memory)
    log.add(entry(1), committed=0)
    with monkeypatch.context() as patch:
        patch.setattr(ahead_module.os, "fsync", fail)
        log.save()
    # What an error of fsync leaves on a disk is anybody's guess.
    path.write_bytes(bytes(2 * HALF))
    log.add(entry(2), committed=0)
    log.save()
    assert tickets(path) == [1, 2]
    log.close()
