"""What may be missing, and what may not, where engines are judged on labelled images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from agent.alignment import Alignment
from agent.bundle import Bundle, open_bundle
from agent.engine import EngineFault, load_engine
from agent.errors import InputError, NoPart
from agent.picture import encode_thumbnail, look_at
from agent.record import Picture, Spread, read_record, write_record
from agent.view import View
from deploy import commands
from deploy.evaluate import Outcome, inspect_all
from tests.deploy.plates import SIDE, defective_plate, plate
from tests.posed import SIZE, alignment, lying
from tests.tiny import write_tiny_bundle, write_tiny_record
from training.dataset import LabelledImage, load_labelled_images


def test_a_picture_without_a_part_costs_no_evaluation(tmp_path: Path) -> None:
    """The station stops such a part without a score; the others are judged all the same."""
    items = []
    for name, picture in {"there": lying(150, 118, 70), "gone": lying(-200, -200, 0)}.items():
        cv2.imwrite(str(tmp_path / f"{name}.png"), picture)
        items.append(LabelledImage(tmp_path / f"{name}.png", "bent", None))
    said: list[str] = []
    followed = View((64, 64), image_size=SIZE, alignment=Alignment(**alignment()))
    shown, canvases, masks = load_labelled_images(items, followed, NoPart, said.append)
    assert shown == items[:1] and len(canvases) == len(masks) == 1
    assert "gone.png shows no part" in said[0] and said[1] == "1 of 2 test images left out"
    shown, *_ = load_labelled_images(items, View((64, 64)), NoPart, said.append)
    assert shown == items


@pytest.fixture
def plates(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for index in range(12):
        folder, picture = "train/good" if index < 8 else "test/good", plate(rng)
        if index > 9:
            folder, picture = "test/spot", defective_plate(rng)[0]
        path = tmp_path / "plates" / folder / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), picture)
    return tmp_path / "plates"


@pytest.mark.parametrize(
    ("options", "fails", "code"),
    [
        ("", "fp32", 0),
        ("--runtime onnxruntime", "fp32", 0),
        ("--precision fp32 --precision int8", "fp32", 1),
        ("", "onnxruntime", 0),
        ("--runtime openvino --runtime onnxruntime", "onnxruntime", 1),
    ],
)
def test_an_engine_that_nobody_asked_for_may_be_missing(
    plates: Path, monkeypatch: pytest.MonkeyPatch, options: str, fails: str, code: int
) -> None:
    """On an NPU, which has no fp32, every evaluation failed."""
    outcome_of = commands._outcome

    def without(bundle: Bundle, choice: tuple[str, str, str], *more: Any) -> Outcome:
        if fails in choice:
            raise InputError(f"no {fails} here")
        return outcome_of(bundle, choice, *more)

    monkeypatch.setattr(commands, "_outcome", without)
    bundle = write_tiny_bundle(plates.parent / "tiny.nlb", (SIDE, SIDE))
    result = CliRunner().invoke(commands.evaluate, [str(bundle), str(plates), *options.split()])
    assert result.exit_code == code, result.output
    assert "left out: no" in result.output and "img AUROC" in result.output


def calibration_of(bundle: Bundle, normals: list[Path], path: Path) -> Path:
    """A record of ONNX Runtime in fp32 that passes all, on pictures that look like `normals`."""
    engine = load_engine(bundle, runtime="onnxruntime", precision="fp32")
    engine.close()
    looks = [look_at(cv2.imread(str(each))) for each in normals]
    picture = Picture(
        brightness=Spread(values=sorted(look.brightness for look in looks)),
        sharpness=Spread(values=sorted(look.sharpness for look in looks)),
        saturated=Spread(values=sorted(look.saturated for look in looks)),
        difference=Spread(values=[1.0]),
        reference=encode_thumbnail(looks[0].thumbnail),
    )
    write_tiny_record(path, bundle, engine.fingerprint, threshold=1e6)
    write_record(path, read_record(path).model_copy(update={"picture": picture}))
    return path


ONE = "--runtime onnxruntime --precision fp32"


def test_what_the_station_stops_as_a_fault_of_the_camera_counts_in_no_rate(
    plates: Path, tmp_path: Path
) -> None:
    """Of a day with half of the light it rejected none, it said; the station stops them all."""
    bundle = open_bundle(write_tiny_bundle(tmp_path / "tiny.nlb", (SIDE, SIDE)))
    normals = sorted((plates / "train" / "good").iterdir())
    record = calibration_of(bundle, normals, tmp_path / "part.cal.json")
    for path in (plates / "test" / "good" / "8.png", *(plates / "test" / "spot").iterdir()):
        cv2.imwrite(str(path), cv2.imread(str(path)) // 3)
    arguments = [str(bundle.path), str(plates), *ONE.split(), "--calibration", str(record)]
    arguments += ["--json", str(tmp_path / "figures.json")]
    result = CliRunner().invoke(commands.evaluate, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert (
        "CAMERA_FAULT at the station, so neither false rejects nor detected:\n"
        "  onnxruntime fp32 on CPU: 1 of 2 good (dark 1), 2 of 2 defective (dark 2)\n"
    ) in result.stdout
    (row,) = json.loads((tmp_path / "figures.json").read_text())["rows"]
    assert row["stopped_good"] == {"dark": 1} and row["stopped_defective"] == {"dark": 2}
    assert row["false_rejects"] == 0.0 and row["detected"] is None
    assert row["threshold"] == 1e6 and 0 <= row["image_auroc"] <= 1


def test_grey_pictures_of_a_coloured_product_are_not_judged(plates: Path, tmp_path: Path) -> None:
    """Full figures stood there of pictures that the station answers with CAMERA_FAULT."""
    coloured = {"training_images": {"coloured": True, "size": (SIDE, SIDE)}}
    bundle = write_tiny_bundle(tmp_path / "tiny.nlb", (SIDE, SIDE), view=coloured)
    arguments = [str(bundle), str(plates), *ONE.split()]
    result = CliRunner().invoke(commands.evaluate, arguments, catch_exceptions=False)
    assert "2 of 2 good (grey 2), 2 of 2 defective (grey 2)" in result.stdout


def test_a_table_says_what_it_is_of(plates: Path, tmp_path: Path) -> None:
    """A week later a folder of them told neither device, nor bundle, nor how many images."""
    bundle = open_bundle(write_tiny_bundle(tmp_path / "tiny.nlb", (SIDE, SIDE)))
    kept = tmp_path / "figures.json"
    arguments = [str(bundle.path), str(plates), *ONE.split(), "--precision", "int8"]
    result = CliRunner().invoke(commands.evaluate, [*arguments, "--json", str(kept)])
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(
        f"{bundle.path} ({bundle.sha256[:12]}) on {plates}: 2 good and 2 defective images\n"
        "agree: with the verdicts of onnxruntime fp32 on CPU, on all images\n"
    )
    found = json.loads(kept.read_text())
    rows = found.pop("rows")
    assert found == {
        "bundle": str(bundle.path),
        "bundle_sha256": bundle.sha256,
        "data": str(plates),
        "good": 2,
        "defective": 2,
        "apart": {},
        "left_out": 0,
        "reference": "onnxruntime fp32 on CPU",
    }
    engines = [(row["runtime"], row["device"], row["precision"]) for row in rows]
    assert engines == [("onnxruntime", "CPU", "fp32"), ("onnxruntime", "CPU", "int8")]
    assert all(row["threshold"] is None for row in rows)


class Overflowing:
    """An engine whose 16 bits are not enough."""

    fingerprint = "onnxruntime 1.20 on CPU, fp16"

    def infer(self, frame: np.ndarray) -> None:
        raise EngineFault("the score or the map is not finite (score nan)")


def test_an_engine_without_an_answer_is_named() -> None:
    with pytest.raises(InputError, match=r"onnxruntime .* fp16 gave no usable answer .*not finite"):
        inspect_all(Overflowing(), View((64, 64)), np.zeros((1, 64, 64, 3), np.uint8))


@pytest.mark.parametrize("name", ["tiny.nlb", "part.cal.json"])
def test_the_figures_are_never_written_over_what_is_judged(name: str, tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "tiny.nlb")
    arguments = [str(bundle), str(tmp_path), "--calibration", str(tmp_path / "part.cal.json")]
    arguments += ["--json", str(tmp_path / name)]
    result = CliRunner().invoke(commands.evaluate, arguments)
    assert f"{name}: it is read here" in str(result.exception)
