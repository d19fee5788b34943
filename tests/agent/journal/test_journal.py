"""What is recorded is given back; what has been numbered is never numbered twice."""

from __future__ import annotations

import select
import sqlite3
from pathlib import Path

import pytest

from agent.journal import EpochRange, Journal, OpenPart
from agent.journal import journal as journal_module
from agent.journal import reader as reader_module
from tests.agent.journal.filling import TOPIC, record, settle, stored_in


def test_it_gives_back_what_was_recorded_in_order_and_in_pages(journal: Journal) -> None:
    seqs = record(journal, 10)
    settle(journal)
    reader = journal.reader()
    first = reader.page(journal.epoch, seqs[2], seqs[8], limit=4)
    assert [stored.seq for stored in first] == seqs[2:6]
    assert (first[0].topic, first[0].payload) == (TOPIC, b"payload %d" % seqs[2])
    assert reader.page(journal.epoch - 1, seqs[0], seqs[-1], limit=4) == []
    assert reader.epochs() == ([EpochRange(journal.epoch, seqs[0], seqs[-1])], False)
    assert journal.durable_seq == journal.last_seq == seqs[-1]
    reader.close()


def test_numbers_go_on_beyond_a_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "BLOCK", 100)
    path = tmp_path / "journal.db"
    journal = Journal(path)
    seqs = record(journal, 250)
    settle(journal)
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT seq FROM reserved").fetchone() == (300,)
    connection.close()
    journal.close()
    journal = Journal(path)
    assert seqs == list(range(1, 251))
    assert journal.first_seq == 251  # a clean end gives back what it has not used
    journal.close()


def test_epochs_grow_also_within_a_second(tmp_path: Path) -> None:
    epochs = []
    for _ in range(3):
        journal = Journal(tmp_path / "journal.db")
        epochs.append(journal.epoch)
        journal.close()
    assert epochs == sorted(set(epochs))


def test_more_epochs_than_are_listed_at_once_are_listed_in_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader_module, "EPOCHS_LISTED", 2)
    epochs = []
    for _ in range(5):
        journal = Journal(tmp_path / "journal.db")
        record(journal, 1)
        settle(journal)
        epochs.append(journal.epoch)
        if len(epochs) < 5:
            journal.close()
    reader = journal.reader()

    def listed(since: int | None) -> tuple[list[int], bool]:
        found, more = reader.epochs(since)
        return [each.epoch for each in found], more

    # Whoever asks without a position of its own is not told that this is all.
    assert listed(None) == (epochs[:2], True)
    assert listed(epochs[1]) == (epochs[1:3], True)
    assert listed(epochs[3]) == (epochs[3:], False)
    reader.close()
    journal.close()


def test_a_client_never_moves_back(journal: Journal) -> None:
    reader = journal.reader()
    assert reader.acknowledged("mes") is None
    for position in [(5, 20), (5, 10), (4, 99)]:
        assert journal.acknowledge("mes", *position, timeout_s=10)
    assert reader.acknowledged("mes") == (5, 20)
    assert journal.acknowledge("mes", 6, 1, timeout_s=10)
    assert reader.acknowledged("mes") == (6, 1)
    reader.close()


def test_what_was_noted_is_known_at_the_next_start(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db")
    assert journal.noted("drift") is None
    journal.note("drift", b"first")
    journal.note("drift", b"second")
    assert journal.noted("drift") == b"second"
    journal.close()
    again = Journal(tmp_path / "journal.db")
    assert again.noted("drift") == b"second" and again.noted("other") is None
    again.close()


def test_a_journal_from_before_there_were_notes_is_used(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = Journal(path)
    seqs = record(journal, 3)
    journal.close()
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE notes")
    connection.close()
    journal = Journal(path)
    journal.note("drift", b"kept")
    settle(journal)
    assert stored_in(journal) == 3 and journal.first_seq == seqs[-1] + 1
    journal.close()


def test_whoever_waits_for_the_disk_is_woken_up(journal: Journal) -> None:
    """The answer to a trigger came when the loop looked next of its own accord."""
    ticket = journal.open_part(OpenPart("A", 80.0))
    assert select.select([journal.descriptor], [], [], 10)[0]
    assert journal.is_durable(ticket)
    assert not select.select([journal.descriptor], [], [], 0)[0]


def test_an_announcement_that_fails_costs_no_verdict(journal: Journal) -> None:
    def fail() -> None:
        raise OSError("no socket")

    with pytest.raises(OSError, match="no socket"):
        journal.record(journal.next_seq(), TOPIC, b"kept", announce=fail)
    settle(journal)
    reader = journal.reader()
    found = reader.page(journal.epoch, 0, 2**53, limit=10)
    assert [stored.payload for stored in found] == [b"kept"]
    reader.close()
