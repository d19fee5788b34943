"""A service keeps its log ahead in memory: the disk may hang, and nothing is lost by that."""

from __future__ import annotations

import logging
import os
import queue
import resource
import select
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from agent.journal import Journal, OpenPart, Retention, open_journal
from agent.journal import ahead as ahead_module
from agent.journal import database as database_module
from agent.journal import journal as journal_module
from agent.journal import writer as writer_module
from agent.journal.ahead import read_entries
from agent.journal.files import beside
from agent.journal.runtime import ahead_in
from tests.agent.journal.filling import (
    ROOT,
    before_each_statement,
    record,
    settle,
    spoil,
    stored_in,
)
from tests.agent.journal.freezing import disk_that_freezes, frozen
from tests.agent.journal.test_long_outage import outage, stored


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(folder))
    return folder


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(ahead_module, "HALF_BYTES", 100_000)
    return tmp_path / "journal.db"


def start(path: Path) -> Journal:
    return open_journal(path, Retention(), "continue")


def restart_machine(runtime: Path) -> None:
    shutil.rmtree(runtime)
    runtime.mkdir()


KILLED = """
import os, signal, sqlite3, sys
from pathlib import Path
from agent.journal import OpenPart, Retention, open_journal
journal = open_journal(Path(sys.argv[1]), Retention(), "continue")
journal.open_part(OpenPart("open", 80.0))
assert journal.acknowledge("settle", 1, 1, 10)
other = sqlite3.connect(sys.argv[1], isolation_level=None)
other.execute("BEGIN IMMEDIATE")  # from here on, nothing is committed
journal.open_part(OpenPart("answered", None))
journal.record(journal.next_seq(), b"topic/", b"{}", "answered")
print(journal.epoch, journal.last_seq - journal.durable_seq, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(path: Path, runtime: Path | None) -> int:
    """A station that is killed before its verdict is committed; its epoch."""
    environment = {key: value for key, value in os.environ.items() if key != "RUNTIME_DIRECTORY"}
    if runtime is not None:
        environment["RUNTIME_DIRECTORY"] = str(runtime)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    epoch, missing = map(int, done.stdout.split())
    assert missing == 1
    return epoch


@pytest.mark.parametrize(
    ("before", "after"), [("service", "service"), ("hand", "service"), ("service", "hand")]
)
def test_a_killed_station_has_lost_nothing_whoever_starts_the_next(
    tmp_path: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch, before: str, after: str
) -> None:
    """Also one of a version that knew of no log in memory, which is as one by hand."""
    path = tmp_path / "journal.db"
    epoch = killed(path, runtime if before == "service" else None)
    on_disk, in_memory = beside(path, ".ahead"), ahead_in(runtime, path)
    assert bool(read_entries(on_disk)) is (before == "hand")
    assert bool(read_entries(in_memory)) is (before == "service")
    if after == "hand":
        monkeypatch.delenv("RUNTIME_DIRECTORY")
    for _ in range(2):  # and only once
        journal = start(path)
        assert stored(journal, epoch) == {1}
        assert stored_in(journal) == 1
        assert journal.interrupted == (OpenPart("open", 80.0),)
        assert journal.close()
    assert read_entries(on_disk) == []
    if after == "service":
        assert read_entries(in_memory) == []


def test_stations_that_share_a_folder_have_each_their_own(tmp_path: Path, runtime: Path) -> None:
    paths = [tmp_path / name / "journal.db" for name in "ab"]
    for path in paths:
        path.parent.mkdir()
    epoch = killed(paths[0], runtime)
    other = start(paths[1])
    record(other, 1)
    assert other.interrupted == ()
    journal = start(paths[0])
    assert stored(journal, epoch) == {1}
    assert journal.close() and other.close()


def test_a_commit_that_fails_leaves_what_the_machine_s_next_start_needs(
    path: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And to one that finds both logs, each change is there once."""
    monkeypatch.setattr(database_module, "BUSY_MS", 1)
    monkeypatch.setattr(writer_module, "RETRY_S", 0.02)
    saved: queue.SimpleQueue[int] = queue.SimpleQueue()
    real = os.fsync

    def fsync(descriptor: int) -> None:
        real(descriptor)
        saved.put(threading.get_ident())

    journal = start(path)
    monkeypatch.setattr(ahead_module.os, "fsync", fsync)
    after = path.parent / "after" / path.name
    with outage(path):
        journal.open_part(OpenPart("A", None))
        seqs = set(record(journal, 3))
        journal.record_late(journal.last_seq, b"late")
        while len(read_entries(beside(path, ".ahead"))) < 5:
            assert saved.get(timeout=20) != threading.get_ident()
        shutil.copytree(path.parent, after.parent, ignore=shutil.ignore_patterns("run"))
        more = set(record(journal, 2))
        assert not journal.close()
    for place, expected in ((after, seqs), (path, seqs | more)):
        again = start(place)
        assert stored(again, journal.epoch) == expected
        assert again.interrupted == (OpenPart("A", None),)
        reader = again.reader()
        assert reader.late_results(journal.epoch) == [(max(seqs), b"late")]
        reader.close()
        assert again.close()


def test_what_the_disk_did_not_take_before_the_end_is_there_after_the_machine_s_next_start(
    path: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "RETRY_S", 60.0)
    first_save = threading.Event()
    real = os.fsync

    def fsync(descriptor: int) -> None:
        real(descriptor)
        first_save.set()

    journal = start(path)
    for _ in range(30):
        record(journal, 10)
        settle(journal)
    monkeypatch.setattr(ahead_module.os, "fsync", fsync)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    room = beside(path, "-wal").stat().st_size
    assert room > 2 * ahead_module.HALF_BYTES
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))  # the disk is full
    try:
        record(journal, 1)
        assert first_save.wait(20)
        record(journal, 2)
        assert not journal.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    restart_machine(runtime)
    again = start(path)
    assert stored(again, journal.epoch) == set(range(journal.first_seq, journal.last_seq + 1))
    again.close()


def test_a_disk_that_hangs_does_not_hold_up_the_end(
    path: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "CLOSE_S", 0.05)
    goes_on, saving = threading.Event(), threading.Event()

    def hang(_: object) -> None:
        assert goes_on.wait(20)

    def hang_saving(_: object) -> None:
        saving.set()
        assert goes_on.wait(20)

    journal = start(path)
    before_each_statement(journal, hang)
    monkeypatch.setattr(ahead_module.os, "fsync", hang_saving)
    record(journal, 1)
    assert not journal.close()
    assert saving.wait(20)  # and it was tried
    goes_on.set()
    journal._writer._thread.join(20)


def test_without_room_in_memory_it_is_kept_on_the_disk_and_says_so(
    tmp_path: Path,
    runtime: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = tmp_path / "journal.db"
    runtime.rmdir()
    journal = start(path)
    assert journal.alarm is None
    record(journal, 1)
    assert journal.close()
    (line,) = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert "in memory" in line.getMessage() and "No such file" in line.getMessage()
    epoch = killed(path, runtime)
    assert read_entries(beside(path, ".ahead"))
    journal = start(path)
    assert len(stored(journal, epoch)) == 1
    journal.close()


def test_of_a_corrupt_journal_the_log_in_memory_is_set_aside_too(
    tmp_path: Path, runtime: Path
) -> None:
    path = tmp_path / "journal.db"
    first = start(path)
    record(first, 500)
    first.close()
    epoch = killed(path, runtime)
    beside(path, "-wal").unlink(missing_ok=True)
    spoil(path)
    journal = start(path)
    assert journal.alarm is not None and "set aside" in journal.alarm
    (aside,) = tmp_path.glob("journal.db.memory.ahead.corrupt-*")
    assert {each.epoch for each in read_entries(aside)} == {epoch}
    journal.close()


ON_A_DISK_THAT_FREEZES = """
import sys
from pathlib import Path
from agent.journal import OpenPart, Retention, open_journal
journal = open_journal(Path(sys.argv[1]), Retention(), "continue")
def part(name):
    journal.open_part(OpenPart(name, 80.0))
    journal.record(journal.next_seq(), b"topic/", b"{}", name)
part("before")
assert journal.acknowledge("settle", 1, 1, 10)
print(journal.epoch, flush=True)
for line in sys.stdin:
    for number in range(100):
        part(f"{line.strip()}-{number}")
    print(journal.last_seq, flush=True)
journal.close()
"""


def test_a_disk_that_hangs_never_holds_up_the_line(tmp_path: Path, runtime: Path) -> None:
    """It did for 5.5 s: the first store into a page that the disk had to be told of."""
    with disk_that_freezes(tmp_path / "own") as disk:
        if disk is None:
            pytest.skip("a disk that can be frozen needs root, mkfs.ext4 and loop devices")
        path = disk / "journal.db"
        with subprocess.Popen(
            [sys.executable, "-c", ON_A_DISK_THAT_FREEZES, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        ) as station:
            assert station.stdin is not None and station.stdout is not None
            epoch = int(station.stdout.readline())
            with frozen(disk):
                station.stdin.write("frozen\n")
                station.stdin.flush()
                answers, _, _ = select.select([station.stdout], [], [], 20)
                assert answers, "it waits for the disk"
                assert int(station.stdout.readline()) == 101
                station.kill()
        journal = start(path)
        assert stored(journal, epoch) == set(range(1, 102))
        assert journal.interrupted == ()
        assert journal.close()
