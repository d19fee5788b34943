"""Camera hung, killed, unplugged, dark, saturated, frozen, blurred, grey: CAMERA_FAULT and back."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import zmq

from agent.camera.rehearsal import FAULTS, UNPLUGGED
from agent.verdict import Outcome, Reason, Verdict
from tests.agent.service.process import StationProcess, write_station
from tests.prove.scenario import Check, Work
from tests.prove.station import Driver, Follower, add_normal_look, part_pictures

COUNT = 3
PARTS_A_SECOND = 30
DETECT_MS, RECOVER_S = 200, 3.0
SIGNALS = {"hung": signal.SIGSTOP, "killed": signal.SIGKILL}
LASTS_S = 1.0
PATIENCE_S = 15.0
MOST_DISTURBED = 5


@dataclass
class Seen:
    """What one kind of fault did, every time: ms to CAMERA_FAULT, s to a decision, parts passed."""

    detect_ms: list[float] = field(default_factory=list)
    recover_s: list[float] = field(default_factory=list)
    passed: int = 0
    disturbed: int = 0

    def add(self, once: tuple[float, float, int]) -> None:
        self.detect_ms.append(once[0])
        self.recover_s.append(once[1])
        self.passed += once[2]


def prove(work: Work) -> Iterator[Check]:
    images = part_pictures(work.folder)
    faults = work.folder / "faults"
    uri = f"folder://{work.folder / 'parts'}?rate={PARTS_A_SECOND}&loop=true&faults={faults}"
    station_file = write_station(
        work.folder,
        {"uri": uri, "mode": "triggered", "deadline_ms": 2000.0},
        view={"training_images": {"size": None, "coloured": True}},
    )
    add_normal_look(work.folder / "tiny.cal.json", images)
    faults.unlink(missing_ok=True)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        with StationProcess(station_file) as station, Follower(station.publish) as follower:
            line = Line(Driver(context, station.publish["commands"]), follower)
            for fault in (*SIGNALS, *FAULTS):
                seen = Seen()
                while len(seen.detect_ms) < work.count:
                    restarts = line.restarts
                    once = _damage(line, station, fault, faults, work.chance.uniform(0.3, 0.6))
                    if fault in FAULTS and fault != UNPLUGGED and line.restarts != restarts:
                        # On a machine this busy the camera was taken for hung, and a camera that
                        # has just been opened cannot be frozen yet.
                        work.say(f"{fault}: the camera was restarted meanwhile; once more")
                        seen.disturbed += 1
                        if seen.disturbed <= MOST_DISTURBED:
                            continue
                    seen.add(once)
                yield _judge(fault, seen)
            line.driver.close()
    finally:
        context.destroy(linger=0)


class Line:
    """Parts that pass at their pace, whatever the station says of them."""

    def __init__(self, driver: Driver, follower: Follower) -> None:
        self.driver = driver
        self.follower = follower
        self._next_s = time.monotonic()

    def run(self, seconds: float) -> None:
        """Let parts pass for a while."""
        end_s = time.monotonic() + seconds
        while self._next_s < end_s:
            self.driver.listen(max(0.0, self._next_s - time.monotonic()))
            self.driver.trigger(f"part{len(self.driver.triggered)}")
            self._next_s = max(self._next_s + 1 / PARTS_A_SECOND, time.monotonic())

    def run_until_decided(self, since_s: float) -> float | None:
        """Let parts pass until one that was triggered since then is decided; when that arrived."""
        end_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < end_s:
            self.run(1 / PARTS_A_SECOND)
            for verdict, arrived_s in self.answers(since_s):
                if verdict.verdict is not Outcome.NO_DECISION:
                    return arrived_s
        return None

    @property
    def restarts(self) -> int:
        """Of the camera, as the newest heartbeat tells."""
        self.follower.wait_for(lambda: bool(self.follower.beats), PATIENCE_S)
        return self.follower.beats[-1].camera_restarts

    def answers(self, since_s: float) -> list[tuple[Verdict, float]]:
        """Verdicts on parts that were triggered since then, and when each arrived."""
        follower, triggered = self.follower, self.driver.triggered
        both = list(zip(follower.verdicts, follower.arrived_s, strict=False))
        return [each for each in both[-500:] if triggered.get(each[0].part_id, 0.0) > since_s]


def _damage(
    line: Line, station: StationProcess, fault: str, faults: Path, before_s: float
) -> tuple[float, float, int]:
    """ms to CAMERA_FAULT, s from the end of the cause to a decision, parts passed meanwhile."""
    passed = 0
    line.run_until_decided(time.monotonic())
    line.run(before_s)
    if fault in SIGNALS:
        began_s = time.monotonic()
        for pid in station.capture_pids:
            os.kill(pid, SIGNALS[fault])
    else:
        faults.write_text(fault)
        began_s = time.monotonic()
        line.run(LASTS_S)
        line.follower.wait_for(lambda: False, 0.2)
        passed += sum(v.verdict is Outcome.PASS for v, _ in line.answers(began_s))
        faults.unlink()
    ended_s = began_s if fault in SIGNALS else time.monotonic()
    decided_s = line.run_until_decided(ended_s)
    if fault in SIGNALS:
        # What was triggered while no process could take a picture; those after it may pass.
        mute_s = began_s + DETECT_MS / 1000
        passed += sum(
            v.verdict is Outcome.PASS and line.driver.triggered[v.part_id] < mute_s
            for v, _ in line.answers(began_s)
        )
    faulty = [
        arrived_s
        for verdict, arrived_s in line.answers(began_s)
        if verdict.reason is Reason.CAMERA_FAULT
    ]
    detect_ms = 1000 * (min(faulty, default=began_s + PATIENCE_S) - began_s)
    return detect_ms, (decided_s or ended_s + PATIENCE_S) - ended_s, passed


def _judge(fault: str, seen: Seen) -> Check:
    detect_ms, recover_s = max(seen.detect_ms), max(seen.recover_s)
    return Check(
        f"{fault}: CAMERA_FAULT within {DETECT_MS} ms, back within {RECOVER_S:g} s, none passed",
        f"{detect_ms:.0f} ms, {recover_s:.2f} s at most of {len(seen.detect_ms)}, "
        f"{seen.passed} passed" + (f"; {seen.disturbed} disturbed" if seen.disturbed else ""),
        detect_ms <= DETECT_MS and recover_s <= RECOVER_S and seen.passed == 0,
    )
