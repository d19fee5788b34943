"""Subscribers stopped, restarted, slow and absent: the line stays fast, and they miss nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np
import zmq

from agent.verdict import Verdict
from tests.agent.service.process import ROOT, StationProcess, write_station
from tests.prove.scenario import Check, Work
from tests.prove.station import Driver, Follower, picture_folder

COUNT = 5000
# So many parts pass in the rhythm of a line, to be timed; all others as fast as they can.
TIMED = 4000
PARTS_A_SECOND = 30
AHEAD = 16
# Alone and with bad subscribers in turns, so that a busy machine troubles both alike.
ROUNDS = 4
# Without anything new: a subscriber has all that it will get.
GIVE_UP_S = 30.0
# Of the subscriber that is restarted, while parts pass as fast as they can.
KILLS = 10


def prove(work: Work) -> Iterator[Check]:
    pictures = picture_folder(work.folder)
    station_file = write_station(
        work.folder,
        {"uri": f"folder://{pictures}?rate=0&loop=true", "mode": "triggered", "pending_limit": 64},
    )
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        with (
            StationProcess(station_file) as station,
            Follower(station.publish) as follower,
            Listener(work.folder, "stopped", station.publish) as stopped,
            Listener(work.folder, "slow", station.publish) as slow,
        ):
            driver = Driver(context, station.publish["commands"])
            timed = min(work.count, TIMED)
            share = timed // (2 * ROUNDS)
            alone: list[float] = []
            beset: list[float] = []
            for _ in range(ROUNDS):
                for listener in (stopped, slow):
                    listener.signal(signal.SIGSTOP)
                alone += _latencies(driver, follower, share)
                slow.signal(signal.SIGCONT)
                beset += _latencies(driver, follower, share)
            yield _compare(alone, beset)
            with Listener(work.folder, "restarted", station.publish, remembers=True) as restarted:
                hurried = range(timed, work.count)
                kills = work.chance.sample(hurried, min(KILLS, len(hurried)))
                _hurry(driver, follower, len(hurried), restarted, {each - timed for each in kills})
                numbers = [(v.epoch, v.seq) for v in follower.verdicts]
                yield restarted.catch_up(numbers)
            for listener in (stopped, slow):
                listener.signal(signal.SIGCONT)
            with Listener(work.folder, "absent", station.publish) as absent:
                for listener in (stopped, slow, absent):
                    yield listener.catch_up(numbers)
            driver.close()
    finally:
        context.destroy(linger=0)


class Listener:
    """A subscriber process that can be stopped, and that hurries when it is asked to catch up.

    One that remembers hurries from its start, and can be killed and started again.
    """

    def __init__(
        self, folder: Path, name: str, publish: dict[str, str], remembers: bool = False
    ) -> None:
        self._name = name
        self._kills = 0
        self._out, self._hurry, memory = (
            folder / f"{name}.{kind}" for kind in ("txt", "hurry", "memory")
        )
        for path in (self._out, self._hurry, memory):
            path.unlink(missing_ok=True)
        files = [self._out, self._hurry, *([memory] if remembers else [])]
        self._arguments = [publish["verdicts"], publish["replay"], *map(str, files)]
        if remembers:
            self._hurry.touch()
        self._start()

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.prove.listener", *self._arguments],
            stdout=subprocess.DEVNULL,
            cwd=ROOT,
        )
        while not self._out.exists():
            time.sleep(0.05)

    def __enter__(self) -> Listener:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def restart(self) -> None:
        """Kill it once it has got something since its start, and start it again."""
        before = self._out.stat().st_size
        while self._out.stat().st_size == before:
            if self._process.poll() is not None:
                raise RuntimeError(f"the subscriber that was {self._name} ended by itself")
            time.sleep(0.005)
        self._process.kill()
        self._process.wait()
        self._kills += 1
        self._start()

    def catch_up(self, numbers: list[tuple[int, int]]) -> Check:
        """Let it read on until it has the last number."""
        self._hurry.touch()
        began_s = changed_s = time.monotonic()
        size = 0
        last = f"{numbers[-1][0]} {numbers[-1][1]}\n"
        while last not in self._out.read_text()[-4000:]:
            if self._out.stat().st_size != size:
                size, changed_s = self._out.stat().st_size, time.monotonic()
            elif time.monotonic() - changed_s > GIVE_UP_S:
                break
            time.sleep(0.2)
        took_s = time.monotonic() - began_s
        lines = self._out.read_text().splitlines()
        gaps = lines.count("gap")
        got = [(int(e), int(s)) for e, s in (line.split() for line in lines if line != "gap")]
        # The verdict in hand at a kill comes again, and is the first thing that does.
        once = [each for before, each in zip([None, *got], got, strict=False) if each != before]
        twice = len(got) - len(once)
        return Check(
            f"a subscriber that was {self._name} gets everything, in order, once",
            f"{len(got)} of {len(numbers)} in {took_s:.1f} s, {twice} twice after {self._kills} "
            f"kills, {gaps} gaps",
            once == numbers and twice <= self._kills and not gaps,
        )


def _latencies(driver: Driver, follower: Follower, count: int) -> list[float]:
    """Let parts pass; ms from each one's trigger to its verdict on the wire."""
    first = len(driver.triggered)
    next_s = time.monotonic()
    for index in range(first, first + count):
        driver.listen(max(0.0, next_s - time.monotonic()))
        driver.trigger(str(index))
        next_s = max(next_s + 1 / PARTS_A_SECOND, time.monotonic())
    driver.settle(30)
    parts = [str(index) for index in range(first, first + count)]
    follower.wait_for(lambda: all(part in follower.by_part for part in parts), 30)
    given = [verdict for part in parts for verdict in follower.by_part[part]]
    return [_line_ms(verdict) for verdict in given if verdict.durations_ms.decide is not None]


def _hurry(
    driver: Driver, follower: Follower, count: int, listener: Listener, kills: set[int]
) -> None:
    """Let parts pass as fast as the station takes them; the listener is restarted at some."""
    first = len(driver.triggered)
    for index in range(first, first + count):
        if index - first in kills:
            listener.restart()
        follower.wait_for(lambda: len(driver.triggered) - len(follower.by_part) < AHEAD, 30)
        driver.trigger(str(index))
        driver.listen(0)
    driver.settle(30)
    follower.wait_for(lambda: len(follower.by_part) >= len(driver.triggered), 30)


def _line_ms(verdict: Verdict) -> float:
    """What the station took for a part; `publish` is that of the one before."""
    durations = verdict.durations_ms
    stages = (
        durations.capture, durations.queue, durations.inference, durations.decide, durations.publish
    )  # fmt: skip
    return sum(stage or 0.0 for stage in stages)


def _compare(alone: list[float], beset: list[float]) -> Check:
    (p50, p99), (beset_p50, beset_p99) = (np.percentile(each, [50, 99]) for each in (alone, beset))
    return Check(
        "p99 of the line within 5 % of what it is without them",
        f"p50 {p50:.2f} to {beset_p50:.2f} ms, p99 {p99:.2f} to {beset_p99:.2f} ms "
        f"({100 * (beset_p99 / p99 - 1):+.0f} %), {len(alone)} parts each",
        bool(beset_p99 <= 1.05 * p99),
    )
