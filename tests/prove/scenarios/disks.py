"""Disk full, hanging, read-only, journal corrupt: it goes on or refuses as told, and says so."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import zmq

from agent.verdict import Outcome
from tests.agent.journal.freezing import disk_that_freezes, frozen
from tests.agent.service.process import ROOT, StationProcess, change_station, write_station
from tests.prove.scenario import Check, Work
from tests.prove.station import Driver, Follower, as_a_service, picture_folder, stored_verdicts

# Parts that pass in each state of the disk.
COUNT = 60
DISK_MB = 24
PATIENCE_S = 30.0
MOST_ROUNDS = 60


def prove(work: Work) -> Iterator[Check]:
    pictures = picture_folder(work.folder)
    station_file = write_station(
        work.folder, {"uri": f"folder://{pictures}?rate=0&loop=true", "mode": "triggered"}
    )
    with _disk(work.folder / "disk") as disk:
        if disk is None:
            yield Check("a disk of our own to fill", "not proven: mounting one needs root", False)
            return
        change_station(
            station_file,
            journal={"path": str(disk / "journal.db")},
        )
        _keep_evidence(station_file, disk)
        yield from _full(station_file, disk, work, "continue")
        yield from _full(station_file, disk, work, "stop")
        yield from _read_only(station_file, disk)
        yield from _corrupt(station_file, disk)
    with disk_that_freezes(work.folder / "hanging") as disk:
        if disk is None:
            yield Check("a disk of our own to freeze", "not proven: mounting one needs root", False)
            return
        change_station(
            station_file,
            journal={"path": str(disk / "journal.db"), "on_fault": "continue"},
            evidence={"path": str(disk / "evidence")},
        )
        with as_a_service(work.folder / "run"):
            yield from _hangs(station_file, disk, work)


def _hangs(station_file: Path, disk: Path, work: Work) -> Iterator[Check]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        with StationProcess(station_file) as station, Follower(station.publish) as follower:
            driver = Driver(context, station.publish["commands"])
            before = _pass(driver, follower, "before", work.count)
            with frozen(disk):
                during = _pass(driver, follower, "during", work.count)
                alarmed = follower.wait_for(
                    lambda: follower.beats[-1].journal_fault is not None, PATIENCE_S
                )
            after = _pass(driver, follower, "after", work.count)
            recovered = follower.wait_for(
                lambda: (
                    follower.beats[-1].journal_fault is None
                    and follower.beats[-1].durable_seq == follower.verdicts[-1].seq
                ),
                PATIENCE_S,
            )
            stored = {(v.epoch, v.seq) for v in stored_verdicts(station.publish)}
            lost = sum((v.epoch, v.seq) not in stored for v in follower.verdicts)
            driver.close()
    finally:
        context.destroy(linger=0)
    yield Check(
        "disk hangs: inspection goes on, alarm",
        f"passed {before} before, {during} while it hung, {after} after, of {work.count} each; "
        f"alarm {'raised' if alarmed else 'MISSING'}",
        alarmed and before == during == after == work.count,
    )
    yield Check(
        "disk hangs: once it goes on, every verdict is durable",
        f"{len(follower.verdicts)} published, {lost} of them not stored",
        recovered and lost == 0,
    )


@contextmanager
def _disk(folder: Path) -> Iterator[Path | None]:
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "none", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def _keep_evidence(station_file: Path, disk: Path) -> None:
    text = station_file.read_text()
    evidence = f"evidence: {{path: {disk / 'evidence'}, keep: all, min_free_mb: 1}}\n"
    station_file.write_text(text + evidence)


def _full(station_file: Path, disk: Path, work: Work, on_fault: str) -> Iterator[Check]:
    change_station(station_file, journal={"on_fault": on_fault})
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        with StationProcess(station_file) as station, Follower(station.publish) as follower:
            driver = Driver(context, station.publish["commands"])
            before = _pass(driver, follower, f"{on_fault}-before", work.count)
            fill = disk / "fill"
            _fill(fill)
            # The journal's own files have some room left.
            rounds, alarmed = 0, False
            while not alarmed and rounds < MOST_ROUNDS:
                _pass(driver, follower, f"{on_fault}-full{rounds}", work.count)
                rounds += 1
                alarmed = follower.wait_for(
                    lambda: follower.beats[-1].journal_fault is not None, 0.5
                )
            state = follower.beats[-1].state.value
            evidence = follower.beats[-1].evidence_fault
            more = _pass(driver, follower, f"{on_fault}-more", work.count)
            fill.unlink()
            recovered = follower.wait_for(
                lambda: (
                    follower.beats[-1].journal_fault is None
                    and follower.beats[-1].durable_seq == follower.beats[-1].last_seq
                ),
                PATIENCE_S,
            )
            after = _pass(driver, follower, f"{on_fault}-after", work.count)
            follower.wait_for(
                lambda: follower.beats[-1].durable_seq == follower.verdicts[-1].seq, PATIENCE_S
            )
            stored = {(v.epoch, v.seq) for v in stored_verdicts(station.publish)}
            lost = sum((v.epoch, v.seq) not in stored for v in follower.verdicts)
            driver.close()
    finally:
        context.destroy(linger=0)
    decided = f"passed {before} before, {more} on the full disk, {after} after"
    if on_fault == "continue":
        yield Check(
            "disk full, told to go on: inspection goes on, alarm",
            f"{decided}, of {work.count} each; alarm {'raised' if alarmed else 'MISSING'}",
            alarmed and more == after == before == work.count,
        )
        yield Check("disk full: evidence stops, alarm", f"{evidence}", evidence is not None)
    else:
        yield Check(
            "disk full, told to stop: nothing passes until it can be written again",
            f"{decided}, of {work.count} each; state {state} meanwhile",
            alarmed and state == "Error" and more == 0 and after == work.count,
        )
    yield Check(
        f"disk full ({on_fault}): with room again, every verdict is durable",
        f"{len(follower.verdicts)} published, {lost} of them not stored",
        recovered and lost == 0,
    )


def _pass(driver: Driver, follower: Follower, name: str, count: int) -> int:
    """Let parts pass; how many of them the gate would let through."""
    parts = [f"{name}-{index}" for index in range(count)]
    for part in parts:
        driver.trigger(part)
        driver.listen(1 / 30)
    driver.settle(PATIENCE_S)
    follower.wait_for(lambda: all(part in follower.by_part for part in parts), PATIENCE_S)
    return sum(
        verdict.verdict is Outcome.PASS for part in parts for verdict in follower.by_part[part]
    )


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                pass


def _read_only(station_file: Path, disk: Path) -> Iterator[Check]:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    try:
        yield _starts(station_file, "disk read-only at the start, told to go on")
        yield _refuses(station_file, "disk read-only at the start, told to stop")
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)


def _corrupt(station_file: Path, disk: Path) -> Iterator[Check]:
    journal = disk / "journal.db"
    # What the last station left in the write-ahead log; else opening alone would change the file.
    connection = sqlite3.connect(journal)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    data = bytearray(journal.read_bytes())
    data[4096:-4096] = b"\xa5" * len(data[4096:-4096])
    journal.write_bytes(data)
    yield _refuses(station_file, "journal corrupt, told to stop")
    untouched = journal.read_bytes() == bytes(data)
    yield _starts(station_file, "journal corrupt, told to go on")
    aside = [path.read_bytes() == bytes(data) for path in disk.glob("journal.db.corrupt-*")]
    yield Check(
        "the corrupt journal is kept for whoever can read it",
        f"untouched while refused: {untouched}; set aside whole: {aside}",
        untouched and aside == [True],
    )


def _starts(station_file: Path, goal: str) -> Check:
    change_station(station_file, journal={"on_fault": "continue"})
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        with StationProcess(station_file) as station, Follower(station.publish) as follower:
            driver = Driver(context, station.publish["commands"])
            passed = _pass(driver, follower, goal, 3)
            follower.wait_for(lambda: bool(follower.beats), 10)
            alarm = follower.beats[-1].journal_fault
            driver.close()
    finally:
        context.destroy(linger=0)
        _remove_temporary(alarm)
    return Check(
        f"{goal}: inspects, alarm", f"{passed} of 3 passed; {alarm}", passed == 3 and bool(alarm)
    )


def _remove_temporary(alarm: str | None) -> None:
    if alarm is not None and "temporary folder " in alarm:
        folder = Path(alarm.split("temporary folder ")[1].split()[0])
        shutil.rmtree(folder, ignore_errors=True)


def _refuses(station_file: Path, goal: str) -> Check:
    change_station(station_file, journal={"on_fault": "stop"})
    began_s = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "agent", "run", str(station_file)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        check=False,
    )
    last = done.stderr.splitlines()[-1]
    return Check(
        f"{goal}: refuses in one line, exit code 2",
        f"exit code {done.returncode} after {time.monotonic() - began_s:.1f} s: {last}",
        done.returncode == 2
        and last.startswith("normline: error: ")
        and "ready" not in done.stdout,
    )
