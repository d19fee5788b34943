"""The reject gate at a real station: it opens for parts that pass, and never for a dead one."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import yaml

from tests.agent.service.process import ROOT, StationProcess, write_station
from tests.prove.scenario import Check, Work
from tests.prove.station import Follower, picture_folder

# Parts on a station that passes all of them; half as many on one that rejects, and on a dead one.
COUNT = 20
DELAY_S = 2.0
WINDOW_S = 0.2
# Longer than the window: the gate closes between any two parts.
SPACING_S = 0.5
START_S = 60.0
END_S = 10.0


def prove(work: Work) -> Iterator[Check]:
    passing = _station(work.folder / "passing", threshold=1000.0)
    with StationProcess(passing) as station, Gate(work.folder / "passing") as gate:
        with Follower(station.publish) as follower:
            opened = gate.send("good", work.count)
            verdicts = sum(len(each) for each in follower.by_part.values())
        yield Check(
            "it opens for parts that pass",
            f"{work.count} parts, {verdicts} verdicts, opened {opened} times",
            opened == work.count == verdicts,
        )
        station.kill()
        opened = gate.send("orphan", work.count // 2)
        yield Check(
            "it stays shut when the station was killed",
            f"{work.count // 2} parts, opened {opened} times",
            opened == 0,
        )
        yield Check("it ends cleanly", f"exit code {gate.end()}", gate.end() == 0)
    rejecting = _station(work.folder / "rejecting", threshold=-1000.0)
    with StationProcess(rejecting), Gate(work.folder / "rejecting") as gate:
        opened = gate.send("bad", work.count // 2)
        yield Check(
            "it stays shut for parts that are rejected",
            f"{work.count // 2} parts, opened {opened} times",
            opened == 0,
        )


def _station(folder: Path, threshold: float) -> Path:
    folder.mkdir()
    pictures = picture_folder(folder)
    camera = {"uri": f"folder://{pictures}?rate=0&loop=true", "mode": "triggered"}
    return write_station(folder, camera, threshold=threshold)


class Gate:
    """`normline reject-gate` beside the station of a folder."""

    def __init__(self, folder: Path) -> None:
        self._pipe, self._out = folder / "parts", folder / "out"
        publish = yaml.safe_load((folder / "station.yaml").read_text())["publish"]
        file = folder / "gate.yaml"
        file.write_text(
            yaml.safe_dump(
                {
                    "station": {"site": "plant1", "line": "line3", "name": "st7"},
                    "endpoints": {name: publish[name] for name in ("verdicts", "commands")},
                    "sensor": f"fifo://{self._pipe}",
                    "output": {"uri": f"file://{self._out}", "signal": "level"},
                    "travel": {"delay_ms": DELAY_S * 1000, "window_ms": WINDOW_S * 1000},
                    "in_view_ms": DELAY_S * 1000,
                    "accept_simulated": True,
                }
            )
        )
        self._log = (folder / "gate.log").open("w")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "agent", "reject-gate", str(file)],
            stdout=self._log,
            stderr=self._log,
            cwd=ROOT,
        )

    def __enter__(self) -> Gate:
        end_s = time.monotonic() + START_S
        log = Path(self._log.name)
        while "it is heard" not in log.read_text():
            if time.monotonic() > end_s or self._process.poll() is not None:
                raise RuntimeError(f"the gate does not start: {log.read_text()}")
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._log.close()

    def send(self, name: str, count: int) -> int:
        """Let parts pass the sensor; how often the gate opened until the last was through."""
        opened, was_open = 0, False
        begun_s = time.monotonic()
        sent = 0
        with self._pipe.open("w", buffering=1) as pipe:
            while time.monotonic() < begun_s + count * SPACING_S + DELAY_S + 1:
                if sent < count and time.monotonic() > begun_s + sent * SPACING_S:
                    pipe.write(f"{name}-{sent}\n")
                    sent += 1
                is_open = self._out.read_bytes() == b"1\n"
                opened += is_open and not was_open
                was_open = is_open
                time.sleep(0.005)
        return opened

    def end(self) -> int:
        """Tell it to end; its exit code."""
        self._process.terminate()
        return self._process.wait(END_S)
