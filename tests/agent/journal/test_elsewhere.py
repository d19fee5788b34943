"""What a service keeps in its runtime folder while its disk cannot be written, and afterwards."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.journal import Journal, OpenPart, Retention, open_journal
from agent.journal.former import Former
from agent.journal.opening import TEMPORARY_MB
from tests.agent.journal.filling import ROOT, TOPIC, record, settle, spoil, stored_in


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of the station's own journal."""
    return tmp_path / "journal.db"


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of the one in the runtime folder."""
    runtime = tmp_path / "run"
    runtime.mkdir()
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(runtime))
    return runtime / "journal.db"


@contextmanager
def bad_disk(path: Path) -> Iterator[None]:
    """The journal cannot be opened for writing meanwhile: its log ahead is none."""
    ahead = path.with_name(path.name + ".ahead")
    aside = path.with_name("aside")
    if ahead.exists():
        ahead.rename(aside)
    ahead.mkdir()
    yield
    ahead.rmdir()
    if aside.exists():
        aside.rename(ahead)


def start(path: Path) -> Journal:
    return open_journal(path, Retention(), "continue")


def fill(path: Path, kept: Path) -> int:
    """A run of the station while its disk is bad; its epoch."""
    with bad_disk(path):
        journal = start(path)
        assert journal.alarm is not None and journal.alarm.endswith(str(kept.parent))
        record(journal, 3)
        settle(journal)
        epoch = journal.epoch
        assert journal.close()
    return epoch


def test_a_service_goes_on_with_the_journal_that_the_one_before_kept_elsewhere(
    path: Path, kept: Path
) -> None:
    """A service's /tmp ends with it: killed, it had lost every verdict since the disk failed."""
    with bad_disk(path):
        for stored in (3, 6):
            journal = start(path)
            assert journal.alarm is not None and str(kept.parent) in journal.alarm
            assert journal._writer._retention.max_mb == TEMPORARY_MB  # it may lie in memory
            record(journal, 3)
            settle(journal)
            assert stored_in(journal) == stored
            journal.close()


KILLED_ON_A_BAD_DISK = """
import os, sqlite3, sys
from pathlib import Path
from agent.journal import OpenPart, Retention, open_journal
journal = open_journal(Path(sys.argv[1]), Retention(), "continue")
journal.open_part(OpenPart("open", 80.0))
journal.note("drift", b"newer")
journal.record(journal.next_seq(), b"topic/", b"durable")
assert journal.acknowledge("mes", journal.epoch, 1, 10)
other = sqlite3.connect(sys.argv[2], isolation_level=None)
other.execute("BEGIN IMMEDIATE")  # from here on, nothing is committed
journal.open_part(OpenPart("answered", None))
journal.record(journal.next_seq(), b"topic/", b"announced", "answered")
journal.record_late(journal.last_seq, b"late")
print(journal.epoch, flush=True)
os._exit(9)
"""


def killed_on_a_bad_disk(path: Path, kept: Path) -> int:
    """A run that is killed, what it says last in the log ahead alone; its epoch."""
    words = [sys.executable, "-c", KILLED_ON_A_BAD_DISK, str(path), str(kept)]
    with bad_disk(path):
        done = subprocess.run(words, stdout=subprocess.PIPE, text=True, cwd=ROOT, check=False)
    return int(done.stdout)


def payloads(journal: Journal, epoch: int) -> list[bytes]:
    reader = journal.reader()
    found = [each.payload for each in reader.page(epoch, 0, 2**53, limit=100)]
    reader.close()
    return found


def test_once_the_disk_can_be_written_it_has_all_that_was_kept_elsewhere(
    path: Path, kept: Path
) -> None:
    """Of a killed process: no verdict was replayed, and no open part answered, ever."""
    first = start(path)
    first.open_part(OpenPart("before", None))
    first.note("drift", b"older")
    record(first, 2)
    assert first.acknowledge("mes", first.epoch, 1, timeout_s=10)
    first.close()
    epoch = killed_on_a_bad_disk(path, kept)

    journal = start(path)
    assert journal.alarm is None
    assert first.epoch < epoch < journal.epoch
    assert len(payloads(journal, first.epoch)) == 2
    assert payloads(journal, epoch) == [b"durable", b"announced"]
    reader = journal.reader()
    assert reader.late_results(epoch) == [(2, b"late")]
    assert reader.acknowledged("mes") == (epoch, 1)
    assert [each.epoch for each in reader.epochs()[0]] == [first.epoch, epoch]
    reader.close()
    assert journal.noted("drift") == b"newer"
    assert journal.interrupted == (OpenPart("before", None), OpenPart("open", 80.0))
    for part in journal.interrupted:
        journal.record(journal.next_seq(), TOPIC, b"interrupted", part.part_id)
    assert journal.close()
    # The other is the log ahead of the journal that has it all now.
    (left,) = (each.name for each in kept.parent.iterdir() if not each.name.endswith(".ahead"))
    assert left == "journal.db.lock" and not kept.with_name("journal.db.ahead").exists()

    again = start(path)
    assert again.interrupted == ()
    again.close()


def test_what_was_taken_over_and_cannot_be_removed_is_not_taken_over_again(
    path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    epoch = killed_on_a_bad_disk(path, kept)
    monkeypatch.setattr(Former, "remove", lambda _: None)
    for opened in (("open",), ()):
        journal = start(path)
        assert tuple(part.part_id for part in journal.interrupted) == opened
        reader = journal.reader()
        assert len(reader.late_results(epoch)) == 1
        reader.close()
        for part in journal.interrupted:
            journal.record(journal.next_seq(), TOPIC, b"interrupted", part.part_id)
        assert journal.close()
    assert kept.exists()


def test_what_cannot_be_taken_over_is_not_removed(
    path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    epoch = fill(path, kept)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Former, "copy_to", full)
        journal = start(path)
        assert journal.alarm is not None and "No space left" in journal.alarm
        assert stored_in(journal) == 3
        journal.close()
    journal = start(path)
    assert journal.alarm is None and len(payloads(journal, epoch)) == 3
    journal.close()


@pytest.mark.parametrize("unreadable", [False, True])
def test_no_epoch_is_given_twice_though_the_clock_is_behind(
    path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch, unreadable: bool
) -> None:
    """A board without a clock of its own: clients had seen them all, and dropped every verdict."""
    start(path).close()
    monkeypatch.setattr("agent.journal.journal.time.time", lambda: 1e9)
    epoch = fill(path, kept)
    assert epoch > 1.6e9
    if unreadable:
        spoil(kept)
    journal = start(path)
    assert journal.epoch > epoch
    if unreadable:
        assert journal.alarm is not None and f"{kept} " in journal.alarm
        assert journal.alarm.endswith("what was kept there is not taken over")
        assert kept.exists()
    else:
        assert journal.alarm is None
    journal.close()


def test_nor_after_a_corrupt_journal(
    path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = start(path)
    record(journal, 500)
    journal.close()
    monkeypatch.setattr("agent.journal.journal.time.time", lambda: 1e9)
    epoch = fill(path, kept)
    spoil(path)
    journal = start(path)
    assert journal.alarm is not None and "set aside" in journal.alarm
    assert journal.epoch > epoch and len(payloads(journal, epoch)) == 3
    journal.close()


def test_a_journal_that_is_in_the_runtime_folder_itself_is_no_other(kept: Path) -> None:
    for _ in range(2):
        journal = start(kept)
        assert journal.alarm is None
        journal.close()
    assert kept.exists()
