"""`normline calibrate` with a camera, from the outside."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from agent.camera import Camera, CameraFault, EndOfStream, Frame
from agent.record import read_record
from tests.calibration.command import calibrate
from tests.tiny import tiny_frames


class ScriptedCamera(Camera):
    """Gives its images, then ends or fails."""

    period_s = 0.0
    waits = True

    def __init__(self, images: np.ndarray, end: Exception) -> None:
        self.images, self.end = images, end
        self.read_count = 0
        self.closed = False

    def read(self) -> Frame:
        if self.read_count == len(self.images):
            raise self.end
        index = self.read_count
        self.read_count += 1
        return Frame(self.images[index], index, f"{index:06}", 0)

    def settings(self) -> dict[str, str | int | float]:
        return {"exposure": 157}

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> ScriptedCamera:
    """A camera of 25 good parts, opened by any address."""
    camera = ScriptedCamera(tiny_frames(50, (80, 80), seed=5)[0::2], EndOfStream("done"))
    monkeypatch.setattr("calibration.sources.open_camera", lambda uri: camera)
    return camera


def test_a_camera_gives_as_many_parts_as_asked(
    bundle: Path, camera: ScriptedCamera, tmp_path: Path
) -> None:
    out = tmp_path / "tiny.cal.json"
    arguments = ("--false-reject-rate", "10%", "--out", out, "--count", "20")
    assert calibrate(bundle, "v4l2:///dev/video0", *arguments) == 0
    record = read_record(out)
    assert (record.n, camera.read_count, camera.closed) == (20, 20, True)
    assert record.camera_settings_digest is not None


def test_a_camera_that_ends_early_leaves_too_few_parts(
    bundle: Path, camera: ScriptedCamera, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "tiny.cal.json"
    arguments = ("--false-reject-rate", "1%", "--out", out, "--count", "99")
    assert calibrate(bundle, "v4l2:///dev/video0", *arguments) == 2
    assert "25 normal samples cannot support" in capsys.readouterr().err
    assert camera.closed
    assert not out.exists()


def test_a_camera_that_fails_says_after_how_many_frames(
    bundle: Path, camera: ScriptedCamera, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    camera.end = CameraFault("cable pulled")
    arguments = ("--false-reject-rate", "10%", "--out", tmp_path / "c.json", "--count", "30")
    assert calibrate(bundle, "v4l2:///dev/video0", *arguments) == 2
    assert "the camera failed after 25 frames: cable pulled" in capsys.readouterr().err


def test_a_cameras_pictures_are_kept_and_calibrate_the_same_again(
    bundle: Path, camera: ScriptedCamera, tmp_path: Path
) -> None:
    first, second, kept = tmp_path / "1.json", tmp_path / "2.json", tmp_path / "kept"
    options = ("--false-reject-rate", "10%", "--out")
    live = ("--count", "20", "--save", kept)
    assert calibrate(bundle, "v4l2:///dev/video0", *options, first, *live) == 0
    assert len(list(kept.glob("*.png"))) == 20
    assert calibrate(bundle, kept, *options, second) == 0
    one, two = read_record(first), read_record(second)
    assert (one.scores, one.camera_settings) == (two.scores, two.camera_settings)
    assert one.camera_settings == {"exposure": 157}


def test_pictures_are_not_kept_among_others(
    bundle: Path,
    camera: ScriptedCamera,
    normals: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ("--false-reject-rate", "10%", "--out", tmp_path / "c.json", "--count", "20")
    assert calibrate(bundle, "v4l2:///dev/video0", *options, "--save", normals) == 2
    assert "is not empty" in capsys.readouterr().err


def test_an_interrupted_run_leaves_nothing_half_written(bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "c.json"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "agent", "calibrate", str(bundle), "synthetic://?rate=50"),
            *("--count", "100000", "--false-reject-rate", "10%", "--out", str(out)),
            *("--runtime", "onnxruntime", "--save", str(tmp_path / "kept")),
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        end_s = time.monotonic() + 60
        while not list(tmp_path.glob("kept/*.png")):
            assert time.monotonic() < end_s and process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert "Traceback" not in process.stderr.read()
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept"]
