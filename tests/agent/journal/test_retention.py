"""What a journal keeps, and what it may forget."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from agent.journal import Journal, Retention
from agent.journal import retention as retention_module
from tests.agent.journal.filling import TOPIC, record, settle, stored_in


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
