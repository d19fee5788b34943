"""Figures of engines stand side by side only where they are judged alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from agent.alignment import Alignment
from agent.bundle import Bundle
from agent.engine import EngineFault
from agent.errors import InputError, NoPart
from agent.view import View
from deploy import commands
from deploy.evaluate import Outcome, inspect_all, report
from tests.deploy.plates import SIDE, defective_plate, plate
from tests.posed import SIZE, alignment, lying
from tests.tiny import write_tiny_bundle
from training.dataset import LabelledImage, load_labelled_images

ITEMS = [LabelledImage(Path(f"{i}.png"), "good" if i < 50 else "spot", None) for i in range(60)]
SCORES = np.arange(60.0)


def outcome(scores: np.ndarray, threshold: float | None) -> Outcome:
    none = np.zeros(60)
    return Outcome("openvino", "fp16", scores, np.zeros((60, 1, 1), np.float32), none, threshold)


@pytest.mark.parametrize("limits", [(30.5, 30.5), (None, 30.5), (30.5, None), (None, None)])
def test_the_same_scores_agree_whichever_engine_is_calibrated(
    limits: tuple[float | None, float | None],
) -> None:
    one, other = outcome(SCORES, limits[0]), outcome(SCORES, limits[1])
    found = report(one, other, ITEMS, np.zeros((60, 1, 1), bool), None, set())
    assert found.agreement == 1.0
    assert (found.detected is None) == (limits[0] is None)


def test_each_of_two_calibrated_engines_is_judged_at_its_own_limit() -> None:
    shifted = outcome(SCORES + 100, 130.5)
    found = report(shifted, outcome(SCORES, 30.5), ITEMS, np.zeros((60, 1, 1), bool), None, set())
    assert found.agreement == 1.0
    found = report(shifted, outcome(SCORES, 24.5), ITEMS, np.zeros((60, 1, 1), bool), None, set())
    assert found.agreement == pytest.approx(54 / 60)


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
