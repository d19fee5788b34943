"""Parts at full speed with faults all the time: none lost, no memory, descriptor or thread more."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import zmq

from agent.capture.ring import BEAT
from agent.client import Gap, Position, Subscriber
from agent.messaging.status import Heartbeat
from agent.verdict import Verdict
from tests.agent.service.process import StationProcess, write_station
from tests.prove.scenario import Check, Work
from tests.prove.station import picture_folder

COUNT = 5000
# Parts on their way at once, and after how many parts there is a pause to count.
AHEAD = 16
LEG = 2000
FAULTS_A_LEG = 4
WARM_UP_PARTS = 4000
MOST_MB = 5.0
PATIENCE_S = 60.0


@dataclass(frozen=True)
class Usage:
    """Of the station's process: resident memory, MB; open descriptors; threads."""

    mb: float
    descriptors: int
    threads: int

    @classmethod
    def of(cls, station: StationProcess) -> Usage:
        """While its camera is there, whose frames take memory and descriptors too."""
        end_s = time.monotonic() + PATIENCE_S
        while not station.capture_pids and time.monotonic() < end_s:
            time.sleep(0.05)
        pid = station.pid
        status = Path(f"/proc/{pid}/status").read_text()
        (kb,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:"))
        (threads,) = (line.split()[1] for line in status.splitlines() if line[:8] == "Threads:")
        return cls(int(kb) / 1024, len(os.listdir(f"/proc/{pid}/fd")), int(threads))


def prove(work: Work) -> Iterator[Check]:
    pictures = picture_folder(work.folder)
    faults = work.folder / "faults"
    station_file = work.folder / "station.yaml"
    if not station_file.exists():
        uri = f"folder://{pictures}?rate=0&loop=true&faults={faults}"
        write_station(
            work.folder,
            {"uri": uri, "mode": "triggered", "pending_limit": 64, "deadline_ms": 20_000.0},
        )
    faults.unlink(missing_ok=True)
    progress = Progress(work.folder / "progress.json")
    if progress.done:
        work.say(f"goes on after {progress.done} parts")
    usage: list[Usage] = []
    began_s = time.monotonic()
    with StationProcess(station_file) as station, Line(station, progress.run) as line:
        damage = Damage(station, line, faults, work.chance)
        before = progress.done
        while progress.done < work.count:
            leg = min(LEG, work.count - progress.done)
            line.pass_parts(leg, damage.at(leg))
            progress.add(leg)
            if progress.done - before >= WARM_UP_PARTS or progress.done == work.count:
                usage.append(Usage.of(station))
            if progress.done % (10 * LEG) == 0:
                work.say(f"{progress.done} parts, {usage[-1] if usage else 'warming up'}")
        passed = progress.done - before
        rate = passed / (time.monotonic() - began_s)
        missed = line.missed
    yield Check(
        "every part has exactly one verdict, and a subscriber misses none",
        f"{passed} parts, {progress.done} in all runs; {line.wrong} without or with two; "
        f"{missed} missed; {damage.done} faults; {rate:.0f} parts/s; {line.outcomes}",
        not line.wrong and not missed,
    )
    first, last = usage[0], usage[-1]
    yield Check(
        f"memory grows by at most {MOST_MB:g} MB after warm-up",
        f"{first.mb:.1f} to {last.mb:.1f} MB over {len(usage)} counts, "
        f"at most {max(each.mb for each in usage):.1f}",
        last.mb - first.mb <= MOST_MB,
    )
    yield Check(
        "no descriptor or thread more",
        f"{first.descriptors} to {last.descriptors}, {first.threads} to {last.threads} threads",
        last.descriptors <= first.descriptors and last.threads <= first.threads,
    )


class Progress:
    """How far the soak has come in all its runs, kept after every leg."""

    def __init__(self, path: Path) -> None:
        self._path = path
        kept = json.loads(path.read_text()) if path.exists() else {"run": 0, "done": 0}
        self.run, self.done = kept["run"] + 1, kept["done"]

    def add(self, parts: int) -> None:
        self.done += parts
        self._path.write_text(json.dumps({"run": self.run, "done": self.done}))


class Line:
    """Triggers as fast as the station takes it, and a subscriber that counts what comes."""

    def __init__(self, station: StationProcess, run: int) -> None:
        self._publish = station.publish
        self._run = run
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._commands = self._context.socket(zmq.DEALER)
        self._commands.connect(station.publish["commands"])
        self._next = 0
        self._awaited: set[str] = set()
        self._news = threading.Condition()
        self._stop = False
        self.deaf = threading.Event()
        self.wrong = 0
        self.missed = 0
        self.outcomes: dict[str, int] = {}
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> Line:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop = True
        self._thread.join()
        self._context.destroy(linger=0)

    def pass_parts(self, count: int, damage: dict[int, Callable[[], None]]) -> None:
        """Let parts pass, with the damage that is due before one, until all are answered."""
        unheard = 0
        for number in range(count):
            if number in damage:
                damage[number]()
            part_id = f"{self._run}-{self._next}"
            self._next += 1
            with self._news:
                self._awaited.add(part_id)
            self._commands.send_json({"op": "trigger", "part_id": part_id})
            unheard += 1
            while unheard and (unheard >= AHEAD or self._commands.poll(0)):
                unheard -= self._hear()
            with self._news:
                self._news.wait_for(lambda: len(self._awaited) < AHEAD, PATIENCE_S)
        while unheard:
            unheard -= self._hear()
        with self._news:
            self._news.wait_for(lambda: not self._awaited, PATIENCE_S)
            self.wrong += len(self._awaited)
            self._awaited.clear()

    def send_rubbish(self) -> None:
        """What no station understands, on both sockets that listen."""
        for endpoint in (self._publish["commands"], self._publish["replay"]):
            peer = self._context.socket(zmq.DEALER)
            peer.set(zmq.LINGER, 1000)
            peer.connect(endpoint)
            for frames in ([b""], [b"{"], [b'{"op":"trigger"}'], [b"a", b"b"], [b"\xff" * 1000]):
                peer.send_multipart(frames)
            peer.close()

    def _hear(self) -> int:
        if not self._commands.poll(PATIENCE_S * 1000):
            raise RuntimeError("the station does not answer its commands")
        answer = json.loads(self._commands.recv())
        if answer["op"] == "error":
            raise RuntimeError(f"unexpected answer {answer}")
        return int(answer["op"] == "trigger")

    def _follow(self) -> None:
        endpoints = self._publish["verdicts"], self._publish["replay"]
        with Subscriber(*endpoints, position=Position(0, 0)) as subscriber:
            while not self._stop:
                while self.deaf.is_set() and not self._stop:
                    time.sleep(0.05)
                event = subscriber.receive(0.1)
                if isinstance(event, Verdict):
                    self._count(event)
                elif isinstance(event, Gap):
                    self.missed += event.count
                elif isinstance(event, Heartbeat) and event.late_in_a_row >= 3:
                    self._start()

    def _start(self) -> None:
        """What an operator does when the line was too slow; a socket belongs to one thread."""
        peer = self._context.socket(zmq.DEALER)
        peer.set(zmq.LINGER, 1000)
        peer.connect(self._publish["commands"])
        peer.send_json({"op": "start"})
        peer.close()

    def _count(self, verdict: Verdict) -> None:
        run, _, _ = verdict.part_id.partition("-")
        if run != str(self._run):
            return  # of an earlier run
        with self._news:
            if verdict.part_id in self._awaited:
                self._awaited.remove(verdict.part_id)
            else:
                self.wrong += 1
            word = verdict.reason.value if verdict.reason else verdict.verdict.value
            self.outcomes[word] = self.outcomes.get(word, 0) + 1
            self._news.notify_all()


class Damage:
    """The faults that a leg gets, at random parts of it."""

    def __init__(
        self, station: StationProcess, line: Line, faults: Path, chance: random.Random
    ) -> None:
        self._station = station
        self._line = line
        self._faults = faults
        self._chance = chance
        self._file_size = resource.prlimit(station.pid, resource.RLIMIT_FSIZE)
        self._kinds = [
            self._kill_the_camera,
            self._stop_the_camera,
            self._spoil_the_picture,
            self._unplug_the_camera,
            self._stop_the_station,
            self._block_the_disk,
            self._stop_the_subscriber,
            line.send_rubbish,
        ]
        self.done = 0

    def at(self, parts: int) -> dict[int, Callable[[], None]]:
        """Damage by the number of the part before which it is done."""
        numbers = self._chance.sample(range(parts), min(FAULTS_A_LEG, parts))
        kinds = self._chance.sample(self._kinds, len(numbers))
        self.done += len(numbers)
        return dict(zip(numbers, kinds, strict=True))

    def _kill_the_camera(self, number: signal.Signals = signal.SIGKILL) -> None:
        for pid in self._station.capture_pids:
            os.kill(pid, number)

    def _stop_the_camera(self) -> None:
        self._kill_the_camera(signal.SIGSTOP)

    def _spoil_the_picture(self) -> None:
        self._rehearse("frozen")

    def _unplug_the_camera(self) -> None:
        self._rehearse("unplugged")

    def _rehearse(self, fault: str) -> None:
        self._faults.write_text(fault)
        threading.Timer(0.3, lambda: self._faults.unlink(missing_ok=True)).start()

    def _stop_the_station(self) -> None:
        os.kill(self._station.pid, signal.SIGSTOP)
        threading.Timer(0.3, lambda: os.kill(self._station.pid, signal.SIGCONT)).start()

    def _block_the_disk(self) -> None:
        """No file takes anything, nor does its log; a new camera process needs its beat."""
        _, most = self._file_size
        self._limit_files(BEAT.itemsize, most)
        threading.Timer(1.0, lambda: self._limit_files(*self._file_size)).start()

    def _limit_files(self, size: int, most: int) -> None:
        with suppress(ProcessLookupError):  # it has ended meanwhile
            resource.prlimit(self._station.pid, resource.RLIMIT_FSIZE, (size, most))

    def _stop_the_subscriber(self) -> None:
        self._line.deaf.set()
        threading.Timer(0.5, self._line.deaf.clear).start()
