"""Figures of engines stand side by side only where they are judged alike."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.alignment import Alignment
from agent.view import View
from deploy.evaluate import Outcome, report, showing_a_part
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
    assert len(said) == 1 and "gone.png shows no part" in said[0]
    assert showing_a_part(items, View((64, 64)), said.append) == items
