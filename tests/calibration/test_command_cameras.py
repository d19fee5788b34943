"""`normline calibrate` with a camera, from the outside."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent.capture import CaptureState
from agent.record import read_record
from tests.agent.camera.films import DAMAGED, cut, jpeg_film
from tests.calibration.cameras import ScriptedCapture
from tests.calibration.command import calibrate
from tests.tiny import tiny_frames, write_tiny_bundle

DEVICE = "v4l2:///dev/video0"
AT_10 = ("--false-reject-rate", "10%", "--out")


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> ScriptedCapture:
    """A camera of 25 good parts, opened by any address."""
    camera = ScriptedCapture(tiny_frames(50, (80, 80), seed=5)[0::2])
    monkeypatch.setattr("calibration.sources.Capture", lambda *_, **__: camera)
    return camera


def test_a_camera_gives_as_many_parts_as_asked(
    bundle: Path, camera: ScriptedCapture, tmp_path: Path
) -> None:
    out = tmp_path / "tiny.cal.json"
    arguments = ("--false-reject-rate", "10%", "--out", out, "--count", "20")
    assert calibrate(bundle, DEVICE, *arguments) == 0
    record = read_record(out)
    assert (record.n, camera.given, camera.status.state) == (20, 20, CaptureState.ENDED)
    assert record.camera_settings_digest is not None


def test_of_a_live_camera_is_asked_whether_its_pictures_are_of_so_many_parts(
    bundle: Path, camera: ScriptedCapture, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that runs free shows a part many times; ten seconds of belt were taken for 300 parts."""
    command = (bundle, DEVICE, *AT_10, tmp_path / "c.json", "--count", "20")
    kept = ("--save", tmp_path / "kept")
    stop = camera.script[15:] = [KeyboardInterrupt(), *camera.script[15:]]
    assert calibrate(*command, *kept) == 130
    capsys.readouterr()
    assert calibrate(*command, *kept) == 0
    error = capsys.readouterr().err
    assert re.search(r"\b5 pictures in \d+ s: were these 5 different parts, each wholly in", error)
    camera.script, camera.waits = list(stop[1:]), True
    assert calibrate(bundle, DEVICE, *AT_10, tmp_path / "c.json", "--count", "9") == 0
    assert "different parts" not in capsys.readouterr().err  # of a film it can be seen


def test_a_camera_that_ends_early_leaves_too_few_parts(
    bundle: Path, camera: ScriptedCapture, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "tiny.cal.json"
    arguments = ("--false-reject-rate", "1%", "--out", out, "--count", "99")
    assert calibrate(bundle, DEVICE, *arguments) == 2
    assert "25 normal samples cannot support" in capsys.readouterr().err
    assert not out.exists()


def test_a_camera_that_fails_and_comes_back_costs_no_part(
    bundle: Path, camera: ScriptedCapture, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One picture that could not be decoded lost an hour of them."""
    out, kept = tmp_path / "c.json", tmp_path / "kept"
    loose, pulled = "a damaged picture: check its cable", "no frame: check its power"
    camera.script[8:8] = [loose, loose]
    camera.script[16:16] = [pulled]
    assert calibrate(bundle, DEVICE, *AT_10, out, "--count", "25", "--save", kept) == 0
    record = read_record(out)
    assert (record.n, len(list(kept.glob("*.png")))) == (25, 25)
    assert [each.reason for each in record.refused] == [
        f"camera fault: {why}" for why in (loose, pulled)
    ]
    assert f"camera fault: {loose}" in capsys.readouterr().err


def test_a_recording_that_fails_does_not_show_its_parts_again(
    bundle: Path, camera: ScriptedCapture, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    camera.waits = True
    camera.script[20:] = ["the capture process ended", *camera.script]
    assert calibrate(bundle, DEVICE, *AT_10, tmp_path / "c.json", "--count", "25") == 2
    error = capsys.readouterr().err
    assert "the camera failed after 20 frames: the capture process ended" in error
    assert "--save" not in error  # it is all there still


@pytest.mark.parametrize("why", ["fault", "line stands", "Ctrl-C"])
def test_after_an_early_end_the_same_command_goes_on(
    bundle: Path,
    camera: ScriptedCapture,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    why: str,
) -> None:
    """All parts were lost, and the folder that held them was refused."""
    out, kept = tmp_path / "c.json", tmp_path / "kept"
    first, rest = camera.script[:15], camera.script[15:]
    ends = {"fault": "no frame", "line stands": first[-1], "Ctrl-C": KeyboardInterrupt()}
    command = (bundle, DEVICE, *AT_10, out, "--count", "20", "--save", kept)
    monkeypatch.setattr("calibration.calibrate.BREAK_S", -1.0)
    camera.script = [*first, ends[why]]
    assert calibrate(*command) == (130 if why == "Ctrl-C" else 2)
    error = capsys.readouterr().err
    assert f"the 15 pictures in {kept} are kept: the same command goes on" in error
    assert why == "Ctrl-C" or "15 of 20 taken" in error
    camera.script = rest
    assert calibrate(*command) == 0
    assert f"going on with the 15 pictures in {kept}" in capsys.readouterr().err
    assert (read_record(out).n, len(list(kept.glob("*.png")))) == (20, 20)
    assert len(camera.script) == 5  # no part was taken that was not needed


def test_without_a_folder_an_early_end_says_what_would_have_kept_the_parts(
    bundle: Path, camera: ScriptedCapture, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    camera.script[15] = KeyboardInterrupt()
    assert calibrate(bundle, DEVICE, *AT_10, tmp_path / "c.json", "--count", "20") == 130
    assert "no picture is kept: with --save FOLDER" in capsys.readouterr().err


def test_while_no_part_is_of_use_the_bar_says_why(
    bundle: Path,
    camera: ScriptedCapture,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It went on to show what had been wrong before the last part that was of use."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    camera.script[3:] = [camera.script[0] // 40, KeyboardInterrupt()]
    assert calibrate(bundle, DEVICE, *AT_10, tmp_path / "c.json", "--count", "20") == 130
    assert "left out: dark" in capsys.readouterr().err


@pytest.mark.parametrize("other", ["model", "settings"])
def test_pictures_for_another_model_or_of_other_settings_are_not_gone_on_with(
    bundle: Path,
    camera: ScriptedCapture,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    other: str,
) -> None:
    options = (DEVICE, *AT_10, tmp_path / "c.json", "--count", "20", "--save", tmp_path / "kept")
    camera.script[15] = KeyboardInterrupt()
    assert calibrate(bundle, *options) == 130
    if other == "model":
        bundle = write_tiny_bundle(tmp_path / "other.nlb", product="other")
    else:
        camera.settings = {"exposure": 200}
    assert calibrate(bundle, *options) == 2
    assert "kept holds pictures for another model, or of other" in capsys.readouterr().err


def test_a_folder_that_has_all_its_pictures_is_not_added_to(
    bundle: Path, camera: ScriptedCapture, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = (bundle, DEVICE, *AT_10, tmp_path / "c.json", "--save", tmp_path / "kept")
    assert calibrate(*options, "--count", "10") == 0
    assert calibrate(*options, "--count", "15") == 2
    assert "kept is not empty" in capsys.readouterr().err


def test_a_damaged_picture_of_a_film_is_no_good_part(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """FFmpeg makes the missing half up; it was the largest score, and with it the limit."""
    film, out = jpeg_film(tmp_path / "film.avi", cut), tmp_path / "c.json"
    address = f"file://{film}?rate=1000"
    assert calibrate(bundle, address, *AT_10, out, "--count", "15") == 2
    assert f"its picture {DAMAGED} is damaged" in capsys.readouterr().err
    assert not out.exists()


def test_every_image_of_a_folder_is_taken_once_also_through_a_camera(
    bundle: Path, normals: Path, tmp_path: Path
) -> None:
    first, second = tmp_path / "1.json", tmp_path / "2.json"
    assert calibrate(bundle, f"folder://{normals}?rate=0", *AT_10, first, "--count", "30") == 0
    assert calibrate(bundle, normals, *AT_10, second) == 0
    assert read_record(first).scores == read_record(second).scores
    assert read_record(first).refused == []


def test_a_cameras_pictures_are_kept_and_calibrate_the_same_again(
    bundle: Path, camera: ScriptedCapture, tmp_path: Path
) -> None:
    first, second, kept = tmp_path / "1.json", tmp_path / "2.json", tmp_path / "kept"
    live = ("--count", "20", "--save", kept)
    assert calibrate(bundle, DEVICE, *AT_10, first, *live) == 0
    assert len(list(kept.glob("*.png"))) == 20
    assert calibrate(bundle, kept, *AT_10, second) == 0
    one, two = read_record(first), read_record(second)
    assert (one.scores, one.camera_settings) == (two.scores, two.camera_settings)
    assert one.camera_settings == {"exposure": 157}


def test_pictures_are_not_kept_among_others(
    bundle: Path,
    camera: ScriptedCapture,
    normals: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ("--false-reject-rate", "10%", "--out", tmp_path / "c.json", "--count", "20")
    assert calibrate(bundle, DEVICE, *options, "--save", normals) == 2
    assert "is not empty" in capsys.readouterr().err


def test_an_interrupted_run_leaves_nothing_half_written(bundle: Path, tmp_path: Path) -> None:
    out, kept = tmp_path / "c.json", tmp_path / "kept"
    runtime, line = ("--runtime", "onnxruntime"), "synthetic://?rate=50"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "agent", "calibrate", str(bundle), line, "--count", "100000"),
            *("--false-reject-rate", "10%", "--out", str(out), *runtime, "--save", str(kept)),
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        end_s = time.monotonic() + 60
        while not list(kept.glob("*.png")):
            assert time.monotonic() < end_s and process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        error = process.stderr.read()
        assert "Traceback" not in error
        assert "the same command goes on with them" in error
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept"]
    taken = {path.name for path in kept.glob("*.png")}
    count = str(len(taken) + 10)
    assert calibrate(bundle, line, *AT_10, out, *runtime, "--save", kept, "--count", count) == 0
    assert taken < {path.name for path in kept.glob("*.png")}
