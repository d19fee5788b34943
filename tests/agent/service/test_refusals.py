"""A station that cannot be trusted does not start: one line says why, and the exit code is 2."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
import zmq

from agent.bundle import open_bundle
from agent.engine import Fingerprint
from tests.agent.service.process import ROOT, change_station, write_station
from tests.tiny import write_tiny_bundle, write_tiny_record

PARTS = {"uri": "synthetic://?rate=0&parts=3"}


def alter_the_bundle(station: Path) -> None:
    path = station.with_name("tiny.nlb")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def calibrate_another_bundle(station: Path) -> None:
    other = open_bundle(write_tiny_bundle(station.with_name("other.nlb"), product="other"))
    fingerprint = Fingerprint(runtime="x", version="1", device="CPU", precision="fp32")
    write_tiny_record(station.with_name("tiny.cal.json"), other, fingerprint, 0.0)


def run_on_another_precision(station: Path) -> None:
    change_station(station, engine={"precision": "int8"})


def name_a_camera_that_is_not_there(station: Path) -> None:
    change_station(station, camera={"uri": "v4l2:///dev/video99"})


def name_a_journal_in_no_folder(station: Path) -> None:
    change_station(station, journal={"path": "nowhere/journal.db"})


def name_a_runtime_that_does_not_exist(station: Path) -> None:
    change_station(station, engine={"runtime": "abacus"})


def mistype_a_key(station: Path) -> None:
    station.write_text(station.read_text().replace("camera:", "kamera:"))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (alter_the_bundle, "is altered or incomplete"),
        (calibrate_another_bundle, "the calibration was made with bundle"),
        (run_on_another_precision, "precision fp32 instead of int8"),
        (name_a_camera_that_is_not_there, "/dev/video99"),
        (name_a_journal_in_no_folder, "cannot open the journal"),
        (name_a_runtime_that_does_not_exist, "no runtime abacus"),
        (mistype_a_key, "unknown key kamera"),
    ],
)
def test_refused(tmp_path: Path, spoil: Callable[[Path], None], message: str) -> None:
    station = write_station(tmp_path, PARTS)
    spoil(station)
    check_refused(station, message)


@pytest.mark.parametrize("name", ["verdicts", "replay", "commands"])
def test_a_port_in_use_is_refused(tmp_path: Path, context: zmq.Context, name: str) -> None:
    station = write_station(tmp_path, PARTS)
    taken = yaml.safe_load(station.read_text())["publish"][name]
    other = context.socket(zmq.PUB)
    other.bind(taken)
    check_refused(station, f"{taken} is in use")


def check_refused(station: Path, message: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "agent", "run", str(station)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        check=False,
    )
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 2, done.stderr
    assert last.startswith("normline: error: ")
    assert message in last
    assert "Traceback" not in done.stderr
    assert "is ready" not in done.stdout
