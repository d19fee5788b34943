"""A station that cannot be trusted does not start: one line says why, and the exit code is 2."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
import zmq

from agent.bundle import open_bundle
from agent.camera import Settings, settings_digest
from agent.engine import PRECISIONS, Fingerprint, load_engine
from agent.errors import InputError
from agent.record import read_record, write_record
from agent.service.startup import check_camera, run_station
from tests.agent.factories import make_record
from tests.agent.service.process import ROOT, RUNTIME, change_station, write_station
from tests.tiny import write_tiny_bundle, write_tiny_record

SETTINGS: Settings = {"scheme": "v4l2", "width": 640, "height": 480, "exposure": 100}
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


def edit_the_calibration(station: Path) -> None:
    path = station.with_name("tiny.cal.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"threshold": 999.5}))


def calibrate_an_engine_that_scored_otherwise(station: Path) -> None:
    path = station.with_name("tiny.cal.json")
    golden = open_bundle(station.with_name("tiny.nlb")).golden()
    scores = [float(score) - 0.5 for score in golden.scores]
    write_record(path, read_record(path).model_copy(update={"golden_scores": scores}))


def run_on_another_precision(station: Path) -> None:
    change_station(station, engine={"precision": "int8"})


def name_a_camera_that_is_not_there(station: Path) -> None:
    change_station(station, camera={"uri": "v4l2:///dev/video99"})


def name_a_journal_in_no_folder(station: Path) -> None:
    change_station(station, journal={"path": "nowhere/journal.db"})


def name_a_runtime_that_does_not_exist(station: Path) -> None:
    change_station(station, engine={"runtime": "abacus"})


def show_eight_bits_to_a_model_of_sixteen(station: Path, uri: str = "v4l2:///dev/video99") -> None:
    view = {"window": (0, 65535)}
    write_tiny_bundle(station.with_name("tiny.nlb"), view=view)
    change_station(station, camera={"uri": uri})


def stream_eight_bits_to_a_model_of_sixteen(station: Path) -> None:
    show_eight_bits_to_a_model_of_sixteen(station, "rtsps://127.0.0.1/stream")


def film_eight_bits_for_a_model_of_sixteen(station: Path) -> None:
    show_eight_bits_to_a_model_of_sixteen(station, "file:///parts.mp4")


def run_an_engine_that_strays(station: Path) -> None:
    exact = {precision: {"score": 1e-6, "map": 1e-6} for precision in PRECISIONS}
    path = write_tiny_bundle(station.with_name("tiny.nlb"), view={"tolerances": exact})
    bundle = open_bundle(path)
    engine = load_engine(bundle, runtime=RUNTIME, precision="int8")
    engine.close()
    write_tiny_record(station.with_name("tiny.cal.json"), bundle, engine.fingerprint, 0.0)
    change_station(station, engine={"precision": "int8"})


def mistype_a_key(station: Path) -> None:
    station.write_text(station.read_text().replace("camera:", "kamera:"))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (alter_the_bundle, "is altered or incomplete"),
        (calibrate_another_bundle, "the calibration was made with bundle"),
        (calibrate_an_engine_that_scored_otherwise, "golden frames differ by 0.5, at most 0.034"),
        (edit_the_calibration, "was changed after it was made"),
        (run_on_another_precision, "precision fp32 instead of int8"),
        (name_a_camera_that_is_not_there, "/dev/video99"),
        (name_a_journal_in_no_folder, "cannot open the journal"),
        (name_a_runtime_that_does_not_exist, "no runtime abacus"),
        (mistype_a_key, "unknown key kamera"),
        (show_eight_bits_to_a_model_of_sixteen, "a camera of v4l2:// gives 8 bits"),
        (stream_eight_bits_to_a_model_of_sixteen, "a camera of rtsps:// gives 8 bits"),
        (film_eight_bits_for_a_model_of_sixteen, "a camera of file:// gives 8 bits"),
        (run_an_engine_that_strays, "the self-test failed on"),
    ],
)
def test_refused(tmp_path: Path, spoil: Callable[[Path], None], message: str) -> None:
    station = write_station(tmp_path, PARTS)
    spoil(station)
    check_refused(station, message)


def test_a_refusal_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    station = write_station(tmp_path, PARTS)
    name_a_journal_in_no_folder(station)
    done = run(station)
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 2, done.stderr
    assert last.startswith("normline: error: cannot open the journal")
    assert "Traceback" not in done.stderr
    assert "is ready" not in done.stdout


@pytest.mark.parametrize("name", ["verdicts", "replay", "commands"])
def test_a_port_in_use_is_refused(tmp_path: Path, context: zmq.Context, name: str) -> None:
    station = write_station(tmp_path, PARTS)
    taken = yaml.safe_load(station.read_text())["publish"][name]
    other = context.socket(zmq.PUB)
    other.bind(taken)
    check_refused(station, f"{taken} is in use")


def test_a_picture_that_cannot_be_read_ends_the_run_and_is_named(tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    image = cv2.imencode(".png", np.full((64, 64, 3), 150, np.uint8))[1].tobytes()
    (pictures / "1.png").write_bytes(image)
    (pictures / "2.png").write_bytes(image[:-20])
    station = write_station(tmp_path, {"uri": f"folder://{pictures}?rate=0"})
    done = run(station)
    assert done.returncode == 2
    assert "2.png" in done.stderr.splitlines()[-1]
    assert "Halted" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("digest", "simulated", "refused"),
    [
        (None, False, False),
        (settings_digest(SETTINGS), False, False),
        (settings_digest({**SETTINGS, "exposure": 99}), False, True),
        (settings_digest({**SETTINGS, "exposure": 99}), True, False),
    ],
)
def test_a_camera_set_otherwise_than_for_the_calibration_is_refused(
    digest: str | None, simulated: bool, refused: bool
) -> None:
    record = make_record([0.0], 0.0).model_copy(update={"camera_settings_digest": digest})
    with pytest.raises(InputError, match="set otherwise") if refused else nullcontext():
        check_camera(record, SETTINGS, simulated)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"camera_settings": {**SETTINGS, "exposure": 99}},
            r"exposure 100 instead of 99",
        ),
        ({"camera_settings": {**SETTINGS, "gain": 3}}, "gain not set instead of 3"),
        ({"camera_settings": {"scheme": "v4l2"}}, "exposure 100 instead of not set"),
        ({"frame_size": (240, 320)}, "images of 640x480 instead of 320x240"),
    ],
)
def test_what_is_set_otherwise_on_the_camera_is_named(
    changes: dict[str, object], message: str
) -> None:
    record = make_record([0.0], 0.0).model_copy(update=changes)
    with pytest.raises(InputError, match=message):
        check_camera(
            record, {**SETTINGS, "height": 480} if "frame_size" in changes else SETTINGS, False
        )


def check_refused(station: Path, message: str) -> None:
    with pytest.raises(InputError) as refused:
        run_station(station, lambda _: pytest.fail("it is ready"))
    assert message in str(refused.value)


def run(station: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "agent", "run", str(station)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        check=False,
    )


def test_a_camera_of_the_size_of_the_calibration_is_taken() -> None:
    """A size is (height, width); the other way round every camera would be another one."""
    record = make_record([0.0], 0.0).model_copy(update={"frame_size": (480, 640)})
    check_camera(record, SETTINGS, False)
