"""What the journal says is durable survives anything; what it has numbered is never numbered twice.

A kill is a real SIGKILL of a real process that writes as fast as it can.
"""

from __future__ import annotations

import errno
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.errors import InputError
from agent.journal import EpochRange, Journal, OpenPart, Retention, open_journal
from agent.journal import ahead as ahead_module
from agent.journal import journal as journal_module
from agent.journal import reader as reader_module
from agent.journal import retention as retention_module
from agent.journal import writer as journal_writer

ROOT = Path(__file__).resolve().parents[3]
TOPIC = b"v1/a/b/c/verdict/tiny/"
WRITE_FOR_EVER = """
import sys
from pathlib import Path
from agent.journal import Journal, OpenPart
journal = Journal(Path(sys.argv[1]))
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
    assert reader.epochs() == ([EpochRange(journal.epoch, seqs[0], seqs[-1])], False)
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

    journal = Journal(path)
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
    journal = Journal(path)
    journal.open_part(OpenPart("A17", 80.0))
    journal.open_part(OpenPart("A18", None))
    journal.record(journal.next_seq(), TOPIC, b"{}", answers="A18")
    assert journal.close()

    journal = Journal(path)
    assert journal.interrupted == (OpenPart("A17", 80.0),)
    assert journal.close()  # it ended before it could answer

    journal = Journal(path)
    assert journal.interrupted == (OpenPart("A17", 80.0),)
    journal.record(journal.next_seq(), TOPIC, b"{}", answers="A17")
    assert journal.close()

    journal = Journal(path)
    assert journal.interrupted == ()
    assert journal.close()


NUMBER_WITHOUT_WRITING = """
import os, sqlite3, sys
from pathlib import Path
from agent.journal import Journal
journal = Journal(Path(sys.argv[1]))
other = sqlite3.connect(sys.argv[1], isolation_level=None)
other.execute("BEGIN IMMEDIATE")  # from here on, nobody else can write
print(max(journal.next_seq() for _ in range(400_000)), flush=True)
os._exit(9)
"""


def test_a_disk_that_takes_nothing_costs_no_number_twice(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    numbering = [sys.executable, "-c", NUMBER_WITHOUT_WRITING, str(path)]
    done = subprocess.run(numbering, stdout=subprocess.PIPE, text=True, cwd=ROOT, check=False)
    journal = Journal(path)
    assert journal.first_seq > int(done.stdout)
    journal.close()


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

    assert listed(0) == (epochs[:2], True)
    assert listed(epochs[1]) == (epochs[1:3], True)
    assert listed(epochs[3]) == (epochs[3:], False)
    assert listed(None) == (epochs[3:], False)
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


def stored_in(journal: Journal) -> int:
    reader = journal.reader()
    count = sum(epoch.last_seq - epoch.first_seq + 1 for epoch in reader.epochs()[0])
    reader.close()
    return count


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


KILLED_BEFORE_A_COMMIT = """
import os, sqlite3, sys
from pathlib import Path
from agent.journal import Journal, OpenPart
journal = Journal(Path(sys.argv[1]))
journal.open_part(OpenPart("open", 80.0))
assert journal.acknowledge("settle", 1, 1, 10)
other = sqlite3.connect(sys.argv[1], isolation_level=None)
other.execute("BEGIN IMMEDIATE")  # from here on, nothing is committed
journal.open_part(OpenPart("answered", None))
journal.record(journal.next_seq(), b"topic/", b"{}", "answered")
journal.record_late(journal.last_seq, b"late")
print(journal.epoch, journal.durable_seq, flush=True)
os._exit(9)
"""


def test_what_was_not_yet_committed_when_the_process_was_killed_is_there_after_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "journal.db"
    killed = [sys.executable, "-c", KILLED_BEFORE_A_COMMIT, str(path)]
    done = subprocess.run(killed, stdout=subprocess.PIPE, text=True, cwd=ROOT, check=False)
    epoch, durable = map(int, done.stdout.split())
    assert durable == 0
    for _ in range(2):  # and only once
        journal = Journal(path)
        reader = journal.reader()
        (stored,) = reader.page(epoch, 0, 2**53, limit=10)
        assert (stored.seq, stored.topic, stored.payload) == (1, b"topic/", b"{}")
        assert reader.late_results(epoch) == [(1, b"late")]
        assert journal.interrupted == (OpenPart("open", 80.0),)
        reader.close()
        journal.close()


KILLED_WHILE_ANNOUNCING = """
import os, sys
from pathlib import Path
from agent.journal import Journal
journal = Journal(Path(sys.argv[1]))
journal.record(journal.next_seq(), b"topic/", b"told", announce=lambda: os._exit(9))
"""


def test_what_was_announced_is_there_even_if_nothing_came_after_it(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    killed = [sys.executable, "-c", KILLED_WHILE_ANNOUNCING, str(path)]
    assert subprocess.run(killed, cwd=ROOT, check=False).returncode == 9
    journal = Journal(path)
    reader = journal.reader()
    (former,), _ = reader.epochs()
    assert [each.payload for each in reader.page(former.epoch, 0, 2**53, limit=10)] == [b"told"]
    reader.close()
    journal.close()


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
            Journal(tmp_path / name)


def test_two_stations_cannot_share_a_journal(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db")
    with pytest.raises(InputError, match="in use by another station"):
        Journal(tmp_path / "journal.db")
    journal.close()
    Journal(tmp_path / "journal.db").close()


def spoil(path: Path) -> None:
    """Overwrite the middle of a journal, as a failing disk may."""
    data = bytearray(path.read_bytes())
    data[4096 : len(data) - 4096] = b"\xa5" * (len(data) - 8192)
    path.write_bytes(data)


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


def test_a_file_that_never_was_a_journal_is_never_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("somebody's notes, long enough to be read as a database " * 10)
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
    record(journal, 1)
    settle(journal)
    assert len(list(folder.glob("*/journal.db"))) == 1
    journal.close()
