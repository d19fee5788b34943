"""What a journal keeps, and what it may forget."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from agent.journal import Journal, Retention
from agent.journal import retention as retention_module
from agent.journal import writer as writer_module
from agent.journal.database import TABLES
from tests.agent.journal.filling import TOPIC, before_each_statement, record, settle, stored_in


def test_what_a_client_has_not_acknowledged_is_kept_however_old(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db", Retention(acknowledged_days=0))
    seqs = [seq for _ in range(3) for seq in record(journal, 1000)]
    settle(journal)
    assert stored_in(journal) == 3000
    assert journal.acknowledge("mes", journal.epoch, seqs[-1], timeout_s=10)
    # A second client, `settle`, has acknowledged nothing of this epoch.
    record(journal, 1000)
    settle(journal)
    assert stored_in(journal) == 4000
    assert journal.forgotten == 0
    journal.close()


def test_what_every_client_has_acknowledged_goes_at_its_age(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db", Retention(acknowledged_days=0))
    seqs = record(journal, 1000)
    assert journal.acknowledge("mes", journal.epoch, seqs[-1], timeout_s=10)
    future = time.time() + 10
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retention_module.time, "time", lambda: future)
        record(journal, 1000)
        assert journal.acknowledge("mes", journal.epoch, seqs[-1], timeout_s=10)
    assert stored_in(journal) == 1000
    assert journal.forgotten == 0
    journal.close()


@pytest.fixture
def evening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The journal of a day with ten verdicts, all acknowledged; they are of an age now to go."""
    journal = Journal(tmp_path / "journal.db")
    seqs = record(journal, 10)
    assert journal.acknowledge("mes", journal.epoch, seqs[-1], timeout_s=10)
    assert journal.close()
    future = time.time() + 10
    monkeypatch.setattr(retention_module.time, "time", lambda: future)
    return tmp_path / "journal.db"


def next_morning(path: Path, *, refused: list[str]) -> int:
    """What is stored after the first commit of the next day."""

    def refuse(sql: str) -> None:
        if sql in refused:
            refused.remove(sql)
            raise sqlite3.OperationalError("database or disk is full")

    journal = Journal(path, Retention(acknowledged_days=0))
    before_each_statement(journal, refuse)
    record(journal, 1)
    assert journal.acknowledge("mes", 1, 1, timeout_s=10)  # long done with that
    stored = stored_in(journal)
    journal.close()
    return stored


def test_a_line_that_is_switched_off_each_evening_forgets_too(evening: Path) -> None:
    """It gives fewer verdicts a day than there are between two looks at what may go."""
    assert next_morning(evening, refused=[]) == 1


def test_what_a_commit_that_failed_had_forgotten_the_next_one_forgets(
    evening: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "RETRY_S", 0.01)
    assert next_morning(evening, refused=["COMMIT"]) == 1


def test_a_journal_that_outgrows_its_size_forgets_the_oldest_and_says_so(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db", Retention(max_mb=1))
    for _ in range(8):
        for seq in [journal.next_seq() for _ in range(1000)]:
            journal.record(seq, TOPIC, b"x" * 1000)
        settle(journal)
    reader = journal.reader()
    ((kept,), _) = reader.epochs()
    reader.close()
    assert kept.last_seq == journal.last_seq
    assert kept.last_seq - kept.first_seq + 1 <= 2000
    assert journal.forgotten == kept.first_seq - journal.first_seq
    journal.close()


class Kept:
    """Two epochs of three verdicts each, a late result of each, all so many hours old."""

    def __init__(self, hours: float) -> None:
        self.connection = sqlite3.connect(":memory:")
        self.connection.executescript(TABLES)
        stored_at = time.time() - hours * 3600
        for epoch, seqs in ((5, (1, 2, 3)), (6, (4, 5, 6))):
            self.connection.execute("INSERT INTO epochs VALUES (?, ?)", (epoch, seqs[0]))
            for seq in seqs:
                verdict = (seq, epoch, seq, stored_at, "topic", b"{}")
                self.connection.execute("INSERT INTO verdicts VALUES (?, ?, ?, ?, ?, ?)", verdict)
                late = (seq, epoch, seq, b"{}")
                self.connection.execute("INSERT INTO late_results VALUES (?, ?, ?, ?)", late)

    def acknowledge(self, client: str, epoch: int, seq: int) -> None:
        self.connection.execute("INSERT INTO acknowledged VALUES (?, ?, ?)", (client, epoch, seq))

    def all_of(self, what: str, table: str) -> list[int]:
        return [row[0] for row in self.connection.execute(f"SELECT {what} FROM {table} ORDER BY 1")]

    def store_ahead(self, years: int) -> None:
        """Let the clock have been ahead in the first epoch."""
        ahead_s = time.time() + years * 365 * retention_module.DAY_S
        self.connection.execute("UPDATE verdicts SET stored_at = ? WHERE epoch = 5", (ahead_s,))


def test_with_an_epoch_goes_all_that_belonged_to_it_and_nothing_else() -> None:
    """What was found too late stayed for ever."""
    kept = Kept(hours=25)
    kept.acknowledge("mes", 5, 3)
    assert Retention(acknowledged_days=1).apply(kept.connection, 100) == 0
    assert kept.all_of("seq", "verdicts") == [4, 5, 6]
    assert kept.all_of("seq", "late_results") == [4, 5, 6]
    assert kept.all_of("epoch", "epochs") == [6]


def test_what_was_acknowledged_is_kept_for_as_many_days_as_were_asked_for() -> None:
    kept = Kept(hours=23)
    kept.acknowledge("mes", 6, 6)
    assert Retention(acknowledged_days=1).apply(kept.connection, 100) == 0
    assert kept.all_of("seq", "verdicts") == [1, 2, 3, 4, 5, 6]


def test_what_a_clock_that_was_ahead_has_stored_goes_with_what_came_after_it() -> None:
    """It was of no age for years, and nothing behind it went either."""
    kept = Kept(hours=60 * 24)
    kept.store_ahead(years=9)
    kept.acknowledge("mes", 6, 6)
    for left in ([3, 4, 5, 6], [5, 6], []):
        assert Retention(acknowledged_days=30).apply(kept.connection, 2) == 0
        assert kept.all_of("seq", "verdicts") == left


def test_what_a_clock_that_was_ahead_has_stored_is_kept_as_long_as_what_came_after_it() -> None:
    kept = Kept(hours=23)
    kept.store_ahead(years=9)
    kept.acknowledge("mes", 6, 6)
    assert Retention(acknowledged_days=1).apply(kept.connection, 2) == 0
    assert kept.all_of("seq", "verdicts") == [1, 2, 3, 4, 5, 6]


def test_a_clock_that_is_behind_makes_the_journal_forget_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As that of a machine whose battery is flat: to it, all that is stored is of the future."""
    kept = Kept(hours=60 * 24)
    kept.acknowledge("mes", 6, 6)
    monkeypatch.setattr(retention_module, "time", SimpleNamespace(time=lambda: 946_684_800.0))
    assert Retention(acknowledged_days=30).apply(kept.connection, 2) == 0
    assert kept.all_of("seq", "verdicts") == [1, 2, 3, 4, 5, 6]


def test_what_goes_before_there_was_any_client_was_seen_by_none() -> None:
    kept = Kept(hours=0)
    assert Retention(max_mb=0).apply(kept.connection, 4) == 4
    assert kept.all_of("seq", "verdicts") == [5, 6]
