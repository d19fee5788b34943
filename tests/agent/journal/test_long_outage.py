"""The disk takes nothing for longer than there is room to remember what was announced meanwhile."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.journal import Journal, OpenPart
from agent.journal import ahead as ahead_module
from agent.journal import database as database_module
from agent.journal import journal as journal_module
from agent.journal import writer as writer_module
from tests.agent.journal.filling import TOPIC, settle

PAYLOAD = b"x" * 900
# More than the log ahead takes.
MANY = 300


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(ahead_module, "HALF_BYTES", 60_000)
    monkeypatch.setattr(database_module, "BUSY_MS", 1)
    monkeypatch.setattr(writer_module, "RETRY_S", 0.02)
    return tmp_path / "journal.db"


@contextmanager
def outage(path: Path) -> Iterator[None]:
    """Meanwhile nobody else can write."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield
    other.execute("ROLLBACK")
    other.close()


def after_a_kill(path: Path) -> Journal:
    """The journal of the next start, if the process were killed now: the kernel has the files."""
    folder = path.parent / "after"
    folder.mkdir()
    for end in ("", "-wal", ".ahead"):
        shutil.copy(path.with_name(path.name + end), folder)
    return Journal(folder / path.name)


def give(journal: Journal, part_id: str | None = None, payload: bytes = PAYLOAD) -> int:
    seq = journal.next_seq()
    journal.record(seq, TOPIC, payload, part_id)
    return seq


def fill(journal: Journal) -> None:
    for _ in range(MANY):
        give(journal)
    assert journal.fault is not None and "in memory alone" in journal.fault


def recover(journal: Journal) -> None:
    until_s = time.monotonic() + 20
    while not journal.acknowledge("settle", 1, 1, timeout_s=0.02):
        assert time.monotonic() < until_s, journal.fault
    assert journal.fault is None


def stored(journal: Journal, epoch: int) -> set[int]:
    reader = journal.reader()
    found = {each.seq for each in reader.page(epoch, 0, 2**53, limit=10**6)}
    reader.close()
    return found


def test_what_a_second_run_announces_first_is_not_taken_for_written(path: Path) -> None:
    """Its changes are counted from one again, and the file had come further in the run before."""
    first = Journal(path)
    for _ in range(10):
        give(first)
    assert first.close()
    journal = Journal(path)
    with outage(path):
        journal.open_part(OpenPart("A", 80.0))
        seq = give(journal)
        after = after_a_kill(path)
    assert after.interrupted == (OpenPart("A", 80.0),)
    assert stored(after, journal.epoch) == {seq}
    after.close()
    journal.close()


def test_a_part_that_was_answered_is_not_answered_again_after_a_kill(path: Path) -> None:
    journal = Journal(path)
    with outage(path):
        for number in range(MANY):
            journal.open_part(OpenPart(f"part-{number}", 80.0))
            give(journal, f"part-{number}")
        after = after_a_kill(path)
    assert after.interrupted == ()
    after.close()
    journal.close()


@pytest.mark.parametrize(("size", "is_stored"), [(5000, True), (30_000, False)])
def test_a_part_that_was_open_when_the_room_ran_out_is_answered_once(
    path: Path, size: int, is_stored: bool
) -> None:
    journal = Journal(path)
    with outage(path):
        for part_id in "ABC":
            journal.open_part(OpenPart(part_id, 80.0))
        fill(journal)
        given = {give(journal, part_id, b"x" * size) for part_id in "AB"}
        after = after_a_kill(path)
    assert after.interrupted == (OpenPart("C", 80.0),)
    assert (given <= stored(after, journal.epoch)) is is_stored
    after.close()
    journal.close()


def test_a_part_for_whose_answer_there_is_no_room_is_not_remembered(path: Path) -> None:
    """Its opening would be written in one commit, its answer only in a later one, or never."""
    journal = Journal(path)
    with outage(path):
        fill(journal)
        ticket = journal.open_part(OpenPart("A", 80.0))
        give(journal, "A")
    recover(journal)
    assert not journal.is_durable(ticket)
    assert journal.close()
    journal = Journal(path)
    assert journal.interrupted == ()
    journal.close()


def test_an_answer_is_written_however_many_changes_wait(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "BACKLOG", 10)
    journal = Journal(path)
    journal.open_part(OpenPart("A", 80.0))
    settle(journal)
    with outage(path):
        fill(journal)
        seq = give(journal, "A")
        assert journal.lost > 0
    recover(journal)
    epoch = journal.epoch
    assert not journal.close()  # which says that some were lost
    journal = Journal(path)
    assert journal.interrupted == ()
    assert seq in stored(journal, epoch)
    journal.close()


def test_what_the_log_ahead_has_is_not_lost_when_the_outage_ends(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "BACKLOG", 10)
    journal = Journal(path)
    with outage(path):
        given = {give(journal) for _ in range(50)}
        assert journal.fault is None or "memory" not in journal.fault
    recover(journal)
    assert stored(journal, journal.epoch) == given
    journal.close()


def test_a_disk_that_hangs_without_an_error_is_a_fault_until_it_goes_on(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "BUSY_MS", 60_000)
    journal = Journal(path)
    with outage(path):
        give(journal)
        assert journal.fault is None
        fill(journal)
    recover(journal)
    ticket = journal.open_part(OpenPart("A", 80.0))
    settle(journal)
    assert journal.is_durable(ticket)
    journal.close()


def test_no_number_is_used_again_after_an_outage_without_any_room(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "BLOCK", 400)
    monkeypatch.setattr(writer_module, "BACKLOG", 10)
    monkeypatch.setattr(ahead_module.AheadLog, "add", lambda *_, **__: False)
    journal = Journal(path)
    with outage(path):
        while journal.last_seq < 700:
            give(journal)
        assert journal.lost > 0
    recover(journal)
    after = after_a_kill(path)
    assert after.first_seq > journal.last_seq
    after.close()
    journal.close()


@pytest.mark.parametrize("is_over", [True, False])
def test_no_number_is_used_again_after_an_outage_that_outlasts_a_block(
    path: Path, monkeypatch: pytest.MonkeyPatch, is_over: bool
) -> None:
    monkeypatch.setattr(journal_module, "BLOCK", 400)
    monkeypatch.setattr(writer_module, "BACKLOG", 10)
    journal = Journal(path)
    with outage(path):
        fill(journal)
        while journal.last_seq < 700:
            give(journal)
        if not is_over:
            after = after_a_kill(path)
    if is_over:
        recover(journal)
        after = after_a_kill(path)
    assert after.first_seq > journal.last_seq
    after.close()
    journal.close()
