"""Figures of engines stand side by side only where they are judged alike."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.alignment import Alignment
from agent.engine import EngineFault
from agent.errors import InputError
from agent.view import View
from deploy.evaluate import Outcome, inspect_all, report, showing_a_part
from tests.posed import SIZE, alignment, lying
from training.dataset import LabelledImage

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
    assert showing_a_part(items, followed, said.append) == items[:1]
    assert "gone.png shows no part" in said[0] and said[1] == "1 of 2 test images left out"
    assert showing_a_part(items, View((64, 64)), said.append) == items


class Overflowing:
    """An engine whose 16 bits are not enough."""

    fingerprint = "onnxruntime 1.20 on CPU, fp16"

    def infer(self, frame: np.ndarray) -> None:
        raise EngineFault("the score or the map is not finite (score nan)")


def test_an_engine_without_an_answer_is_named() -> None:
    with pytest.raises(InputError, match=r"onnxruntime .* fp16 gave no usable answer .*not finite"):
        inspect_all(Overflowing(), View((64, 64)), np.zeros((1, 64, 64, 3), np.uint8))
