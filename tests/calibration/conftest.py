"""A bundle and good parts to calibrate it with, and a station that was."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import pytest

from tests.agent.conftest import free_endpoint
from tests.agent.service.process import RUNTIME, change_station, write_station
from tests.calibration.command import normline, write_parts
from tests.tiny import tiny_frames, write_tiny_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny.nlb")


@pytest.fixture(scope="module")
def normals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 30 good parts."""
    folder = tmp_path_factory.mktemp("normals")
    for index, frame in enumerate(tiny_frames(60, (64, 64), seed=5)[0::2]):
        assert cv2.imwrite(str(folder / f"{index:02}.png"), frame)
    return folder


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a station that was calibrated on 60 good parts."""
    folder = tmp_path_factory.mktemp("calibrated")
    write_station(folder, {"uri": "synthetic://"})
    normals = write_parts(folder / "normals", 2, 60)
    options = ("--false-reject-rate", "5%", "--runtime", RUNTIME, "--precision", "fp32")
    record = folder / "tiny.cal.json"
    record.unlink()  # else it would be in the history
    assert normline("calibrate", folder / "tiny.nlb", normals, *options, "--out", record) == 0
    return folder


@pytest.fixture
def station(calibrated: Path, tmp_path: Path) -> Path:
    """Its station file."""
    shutil.copytree(calibrated, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "station.yaml"
    endpoints = {name: free_endpoint() for name in ("verdicts", "replay", "commands")}
    change_station(path, publish=endpoints)
    return path


@pytest.fixture
def nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """No station runs, so that there is nothing to wait for."""
    monkeypatch.setattr("calibration.recalibrate.HEAR_S", 0.1)
