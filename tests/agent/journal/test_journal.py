"""What the journal says is durable survives anything; what it has numbered is never numbered twice.

A kill is a real SIGKILL of a real process that writes as fast as it can.
"""

from __future__ import annotations

import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.errors import InputError
from agent.journal import EpochRange, Journal, OpenPart
from agent.journal import journal as journal_module
from agent.journal import writer as journal_writer

ROOT = Path(__file__).resolve().parents[3]
TOPIC = b"v1/a/b/c/verdict/tiny/"
WRITE_FOR_EVER = """
import sys
from pathlib import Path
from agent.journal import Journal, OpenPart
journal = Journal(Path(sys.argv[1]), keep=100000)
journal.open_part(OpenPart("never answered", 80.0))
while True:
    part = f"part-{journal.last_seq + 1}"
    journal.open_part(OpenPart(part, None))
    seq = journal.next_seq()
    journal.record(seq, b"v1/a/b/c/verdict/tiny/", b"{}", part)
    print(journal.epoch, seq, journal.durable_seq, flush=True)
"""


def settle(journal: Journal) -> None:
    """Changes are committed in order: when this one is, so are all before it."""
    assert journal.acknowledge("settle", 1, 1, timeout_s=10)


def record(journal: Journal, count: int) -> list[int]:
    seqs = [journal.next_seq() for _ in range(count)]
    for seq in seqs:
        journal.record(seq, TOPIC, b"payload %d" % seq)
    return seqs


def test_it_gives_back_what_was_recorded_in_order_and_in_pages(journal: Journal) -> None:
    seqs = record(journal, 10)
    settle(journal)
    reader = journal.reader()
    first = reader.page(journal.epoch, seqs[2], seqs[8], limit=4)
    assert [stored.seq for stored in first] == seqs[2:6]
    assert (first[0].topic, first[0].payload) == (TOPIC, b"payload %d" % seqs[2])
    assert reader.page(journal.epoch - 1, seqs[0], seqs[-1], limit=4) == []
    assert reader.epochs() == [EpochRange(journal.epoch, seqs[0], seqs[-1])]
    assert journal.durable_seq == journal.last_seq == seqs[-1]
    reader.close()


def test_a_killed_process_loses_nothing_durable_and_no_number_is_used_again(
    tmp_path: Path,
) -> None:
    path = tmp_path / "journal.db"
    with subprocess.Popen(
        [sys.executable, "-c", WRITE_FOR_EVER, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as writing:
        assert writing.stdout is not None
        lines = [writing.stdout.readline() for _ in range(3000)]
        writing.send_signal(signal.SIGKILL)
        lines += [line for line in writing.stdout.read().splitlines() if line.count(" ") == 2]
    epoch = int(lines[0].split()[0])
    numbered = [int(line.split()[1]) for line in lines]
    durable = max(int(line.split()[2]) for line in lines[:-1])

    journal = Journal(path, keep=100_000)
    reader = journal.reader()
    assert journal.epoch > epoch
    assert journal.first_seq > max(numbered)
    stored = {each.seq for each in reader.page(epoch, 0, 2**53, limit=10**6)}
    assert set(range(numbered[0], durable + 1)) <= stored
    # A part is open or has its verdict, never both and never neither.
    open_ids = [part.part_id for part in journal.interrupted]
    assert open_ids[0] == "never answered"
    assert not {f"part-{seq}" for seq in stored} & set(open_ids)
    reader.close()
    journal.close()


def test_open_parts_wait_for_their_verdict_across_restarts(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = Journal(path, keep=1000)
    journal.open_part(OpenPart("A17", 80.0))
    journal.open_part(OpenPart("A18", None))
    journal.record(journal.next_seq(), TOPIC, b"{}", answers="A18")
    assert journal.close()

    journal = Journal(path, keep=1000)
    assert journal.interrupted == (OpenPart("A17", 80.0),)
    assert journal.close()  # it ended before it could answer

    journal = Journal(path, keep=1000)
    assert journal.interrupted == (OpenPart("A17", 80.0),)
    journal.record(journal.next_seq(), TOPIC, b"{}", answers="A17")
    assert journal.close()

    journal = Journal(path, keep=1000)
    assert journal.interrupted == ()
    assert journal.close()


NUMBER_WITHOUT_WRITING = """
import os, sqlite3, sys
from pathlib import Path
from agent.journal import Journal
journal = Journal(Path(sys.argv[1]), keep=1000)
other = sqlite3.connect(sys.argv[1], isolation_level=None)
other.execute("BEGIN IMMEDIATE")  # from here on, nobody else can write
print(max(journal.next_seq() for _ in range(400_000)), flush=True)
os._exit(9)
"""


def test_a_disk_that_takes_nothing_costs_no_number_twice(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    numbering = [sys.executable, "-c", NUMBER_WITHOUT_WRITING, str(path)]
    done = subprocess.run(numbering, stdout=subprocess.PIPE, text=True, cwd=ROOT, check=False)
    journal = Journal(path, keep=1000)
    assert journal.first_seq > int(done.stdout)
    journal.close()


def test_numbers_go_on_beyond_a_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "BLOCK", 100)
    path = tmp_path / "journal.db"
    journal = Journal(path, keep=10_000)
    seqs = record(journal, 250)
    settle(journal)
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT seq FROM reserved").fetchone() == (300,)
    connection.close()
    journal.close()
    journal = Journal(path, keep=10_000)
    assert seqs == list(range(1, 251))
    assert journal.first_seq == 251  # a clean end gives back what it has not used
    journal.close()


def test_epochs_grow_also_within_a_second(tmp_path: Path) -> None:
    epochs = []
    for _ in range(3):
        journal = Journal(tmp_path / "journal.db", keep=1000)
        epochs.append(journal.epoch)
        journal.close()
    assert epochs == sorted(set(epochs))


def test_a_client_never_moves_back(journal: Journal) -> None:
    reader = journal.reader()
    assert reader.acknowledged("mes") is None
    for position in [(5, 20), (5, 10), (4, 99)]:
        assert journal.acknowledge("mes", *position, timeout_s=10)
    assert reader.acknowledged("mes") == (5, 20)
    assert journal.acknowledge("mes", 6, 1, timeout_s=10)
    assert reader.acknowledged("mes") == (6, 1)
    reader.close()


def test_only_the_newest_verdicts_are_kept(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db", keep=1000)
    for _ in range(8):
        seqs = record(journal, 1000)
        settle(journal)
    reader = journal.reader()
    (kept,) = reader.epochs()
    assert kept.last_seq == seqs[-1]
    assert 1000 <= kept.last_seq - kept.first_seq + 1 <= 2000
    reader.close()
    journal.close()


@pytest.fixture
def full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """No file of this process may grow beyond 1 MB."""
    monkeypatch.setattr(journal_writer, "RETRY_S", 0.02)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
    yield tmp_path / "journal.db"
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_told_and_waited_out(full_disk: Path) -> None:
    journal = Journal(full_disk, keep=10_000)
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
    journal = Journal(full_disk, keep=10_000)
    journal.record(journal.next_seq(), TOPIC, bytes(2_000_000))
    assert not journal.close()


def test_what_is_no_journal_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("not a database, but long enough to be read as one" * 10)
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("CREATE TABLE mine (x)")
    other.commit()
    other.close()
    newer = sqlite3.connect(tmp_path / "newer.db")
    newer.execute("PRAGMA user_version=99")
    newer.close()
    for name, message in {
        "text.db": "as a journal: file is not a database",
        "other.db": "is not a journal",
        "newer.db": "version 99",
        "missing/journal.db": "No such file or directory",
    }.items():
        with pytest.raises(InputError, match=message):
            Journal(tmp_path / name, keep=1000)


def test_two_stations_cannot_share_a_journal(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db", keep=1000)
    with pytest.raises(InputError, match="in use by another station"):
        Journal(tmp_path / "journal.db", keep=1000)
    journal.close()
    Journal(tmp_path / "journal.db", keep=1000).close()
