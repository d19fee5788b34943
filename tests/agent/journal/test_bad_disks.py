"""A disk that is full, a file that is corrupt, or no journal at all."""

from __future__ import annotations

import errno
import os
import resource
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from agent.errors import InputError
from agent.journal import Journal, Retention, open_journal
from agent.journal import ahead as ahead_module
from agent.journal import writer as journal_writer
from tests.agent.journal.filling import (
    TOPIC,
    before_each_statement,
    record,
    settle,
    spoil,
    stored_in,
)


@pytest.fixture
def full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """No file of this process may grow beyond 1 MB."""
    monkeypatch.setattr(journal_writer, "RETRY_S", 0.02)
    monkeypatch.setattr(ahead_module, "HALF_BYTES", 100_000)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
    yield tmp_path / "journal.db"
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_told_and_waited_out(full_disk: Path) -> None:
    journal = Journal(full_disk)
    fine = record(journal, 3)
    settle(journal)
    seqs = [journal.next_seq() for _ in range(100)]
    for seq in seqs:  # 2 MB: more than fits
        journal.record(seq, TOPIC, bytes(20_000))
    assert not journal.acknowledge("mes", 1, 1, timeout_s=0.5)
    assert journal.fault is not None
    assert fine[-1] <= journal.durable_seq < seqs[-1]
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    settle(journal)
    assert journal.fault is None
    assert journal.durable_seq == seqs[-1]
    assert journal.close()


def test_a_disk_that_stays_full_does_not_hold_up_the_end(full_disk: Path) -> None:
    journal = Journal(full_disk)
    journal.record(journal.next_seq(), TOPIC, bytes(2_000_000))
    assert not journal.close()


class NoMemory:
    """A connection of which SQLite says no more than that there is no memory, until told."""

    def __init__(self, connection: sqlite3.Connection, journal: Journal) -> None:
        self.connection, self.journal = connection, journal
        self.told: list[str | None] = []
        self.twice = threading.Event()

    def execute(self, sql: str, values: tuple[object, ...] = ()) -> object:
        if sql.startswith("BEGIN") and not self.twice.is_set():
            raise MemoryError
        return self.connection.execute(sql, values)

    def rollback(self) -> None:
        self.told.append(self.journal.fault)
        if len(self.told) == 2:
            self.twice.set()
        raise MemoryError

    def close(self) -> None:
        self.connection.close()


def test_a_fault_without_a_word_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its text was empty, and that read as no fault."""
    monkeypatch.setattr(journal_writer, "RETRY_S", 0.02)
    journal = Journal(tmp_path / "journal.db")
    connection = NoMemory(journal._writer._connection, journal)
    journal._writer._connection = connection  # type: ignore[assignment]
    record(journal, 1)
    settle(journal)
    assert connection.told == ["MemoryError", "MemoryError"]
    assert journal.fault is None
    assert journal.close()


def test_a_disk_that_hangs_in_one_commit_is_a_fault_until_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gives no error: thousands of parts were answered before anybody was told."""
    now_s = 0.0
    clock = SimpleNamespace(monotonic=lambda: now_s)
    monkeypatch.setattr(journal_writer, "time", clock)
    reached, goes_on = threading.Event(), threading.Event()

    def hang(sql: str) -> None:
        if sql == "COMMIT":
            reached.set()
            assert goes_on.wait(10)

    journal = Journal(tmp_path / "journal.db")
    before_each_statement(journal, hang)
    now_s = 1000.0  # nothing to write is no fault
    assert journal.fault is None
    record(journal, 1)
    assert reached.wait(10)
    now_s += 2.0  # nor is an SD card that tidies up
    assert journal.fault is None
    now_s += 5.0
    assert journal.fault == "the disk has taken nothing for 7 s"
    goes_on.set()
    settle(journal)
    assert journal.fault is None
    now_s += 1000.0
    assert journal.fault is None
    assert journal.close()


def test_a_journal_whose_writer_has_ended_says_so_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The only thread of the station whose end nobody noticed."""
    ended = threading.Event()

    def fail(*_: object) -> None:
        ended.set()
        raise KeyError("a defect")

    journal = Journal(tmp_path / "journal.db")
    assert journal.alive
    monkeypatch.setattr(journal_writer.JournalWriter, "_commit", fail)
    record(journal, 1)
    assert ended.wait(10)
    journal._writer._thread.join(10)
    assert not journal.alive
    assert journal.fault == "its writer has ended: see the log"
    assert not journal.close()
    monkeypatch.undo()
    again = Journal(tmp_path / "journal.db")
    settle(again)
    assert stored_in(again) == 1
    again.close()


def test_what_is_no_journal_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("not a database, but long enough to be read as one" * 10)
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("CREATE TABLE mine (x)")
    other.commit()
    other.close()
    for name, message in {
        "text.db": "as a journal: file is not a database",
        "other.db": "is not a journal that this normline reads: give another journal.path",
        "missing/journal.db": "No such file or directory",
    }.items():
        with pytest.raises(InputError, match=message):
            Journal(tmp_path / name)


@pytest.mark.parametrize("version", [0, 1, 2, 99])
def test_the_database_of_another_program_stays_as_it_is(tmp_path: Path, version: int) -> None:
    """For good it was one with a write-ahead log, with this version's number one of a note too."""
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE mine (x)")
        other.execute(f"PRAGMA user_version={version}")
    other.close()
    before = path.read_bytes()
    with pytest.raises(InputError, match="is not a journal"):
        open_journal(path, Retention(), "continue")
    assert path.read_bytes() == before


def test_a_journal_of_a_newer_normline_is_not_to_be_replaced_by_another(tmp_path: Path) -> None:
    """After a rollback: open parts and acknowledgements would stay behind in it."""
    path = tmp_path / "journal.db"
    Journal(path).close()
    with sqlite3.connect(path) as journal:
        journal.execute("PRAGMA user_version=3")
    journal.close()
    message = r"journal of a newer normline \(version 3, this one reads 2\): update normline"
    for _ in range(2):
        with pytest.raises(InputError, match=message):
            open_journal(path, Retention(), "continue")


def test_two_stations_cannot_share_a_journal(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db")
    with pytest.raises(InputError, match="in use by another station"):
        Journal(tmp_path / "journal.db")
    journal.close()
    Journal(tmp_path / "journal.db").close()


@pytest.fixture
def corrupt(tmp_path: Path) -> Path:
    journal = Journal(tmp_path / "journal.db")
    record(journal, 500)
    journal.close()
    spoil(tmp_path / "journal.db")
    return tmp_path / "journal.db"


def test_a_corrupt_journal_is_refused_when_the_station_shall_stop(corrupt: Path) -> None:
    before = corrupt.read_bytes()
    with pytest.raises(InputError, match="journal"):
        open_journal(corrupt, Retention(), "stop")
    assert corrupt.read_bytes() == before


def test_a_corrupt_journal_is_set_aside_when_the_station_shall_go_on(corrupt: Path) -> None:
    before = corrupt.read_bytes()
    journal = open_journal(corrupt, Retention(), "continue")
    assert journal.alarm is not None and "set aside" in journal.alarm
    (aside,) = corrupt.parent.glob("journal.db.corrupt-*")
    assert aside.read_bytes() == before
    record(journal, 1)
    settle(journal)
    assert stored_in(journal) == 1
    journal.close()


def test_after_a_corrupt_journal_epochs_go_on_though_the_clock_has_gone_back(
    corrupt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A board without a clock of its own: clients had seen it all, and dropped every verdict."""
    with monkeypatch.context() as patch:
        patch.setattr("agent.journal.journal.time.time", lambda: 1e9)
        journal = open_journal(corrupt, Retention(), "continue")
        assert journal.alarm is not None
        assert journal.epoch > 1.6e9
        journal.close()


def test_a_file_that_never_was_a_journal_is_never_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("somebody's notes, long enough to be read as a database " * 10)
    for _ in range(3):  # as often as systemd starts the station
        with pytest.raises(InputError, match="not a database"):
            open_journal(path, Retention(), "continue")
        assert path.read_text().startswith("somebody's notes")


def test_with_no_room_on_its_disk_the_journal_goes_elsewhere_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    with monkeypatch.context() as patch:
        patch.setattr(ahead_module.os, "posix_fallocate", full)
        with pytest.raises(InputError, match="No space left"):
            open_journal(tmp_path / "journal.db", Retention(), "stop")
    calls = iter([full])
    real = os.posix_fallocate
    monkeypatch.setattr(ahead_module.os, "posix_fallocate", lambda *args: next(calls, real)(*args))
    journal = open_journal(tmp_path / "journal.db", Retention(), "continue")
    assert journal.alarm is not None and "No space left" in journal.alarm
    assert "until a start that finds the disk writable" in journal.alarm
    record(journal, 1)
    settle(journal)
    assert len(list(folder.glob("*/journal.db"))) == 1
    journal.close()
