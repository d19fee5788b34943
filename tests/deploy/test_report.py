"""Figures of engines stand side by side only where they are judged alike."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from agent.bundle import open_bundle
from deploy.evaluate import Outcome
from deploy.report import Judged, Report, report, table
from tests.tiny import write_tiny_bundle
from training.dataset import LabelledImage

ITEMS = [LabelledImage(Path(f"{i}.png"), "good" if i < 50 else "spot", None) for i in range(60)]
SCORES = np.arange(60.0)


def outcome(scores: np.ndarray, threshold: float | None, dark: Sequence[int] = ()) -> Outcome:
    none, maps = np.zeros(60), np.zeros((60, 1, 1), np.float32)
    faults = np.array(["dark" if index in dark else "" for index in range(60)])
    return Outcome("openvino", "GPU", "fp16", scores, maps, none, faults, threshold)


def judge(one: Outcome, other: Outcome, items: list[LabelledImage] = ITEMS) -> Report:
    return report(one, other, items, np.zeros((60, 1, 1), bool), None, {"light"})


@pytest.mark.parametrize("limits", [(30.5, 30.5), (None, 30.5), (30.5, None), (None, None)])
def test_the_same_scores_agree_whichever_engine_is_calibrated(
    limits: tuple[float | None, float | None],
) -> None:
    found = judge(outcome(SCORES, limits[0]), outcome(SCORES, limits[1]))
    assert found.agreement == 1.0
    assert (found.detected is None) == (limits[0] is None)


def test_each_of_two_calibrated_engines_is_judged_at_its_own_limit() -> None:
    shifted = outcome(SCORES + 100, 130.5)
    assert judge(shifted, outcome(SCORES, 30.5)).agreement == 1.0
    assert judge(shifted, outcome(SCORES, 24.5)).agreement == pytest.approx(54 / 60)


def test_rates_are_of_the_pictures_that_the_station_judges() -> None:
    """Of 50 good ones above the limit are 5, and 2 of them are dark; of the spots none is judged
    but one that passes. How engines rank the pictures is asked of all of them."""
    scores = np.where(np.arange(60) == 55, 0.0, SCORES)
    found = judge(
        outcome(scores, 44.5, [0, 48, 49, *range(50, 55), *range(56, 60)]), outcome(scores, None)
    )
    assert found.stopped_good == {"dark": 3} and found.stopped_defective == {"dark": 9}
    assert found.false_rejects == pytest.approx(3 / 47) and found.detected == 0.0
    assert found.image_auroc == pytest.approx(
        judge(outcome(scores, 44.5), outcome(scores, None)).image_auroc
    )


def test_a_picture_that_is_stopped_unjudged_has_one_verdict_whatever_its_score() -> None:
    """Scores on two sides of the limit counted as a difference, and a stop by one as none."""
    dark = [0, 59]
    one, other = outcome(SCORES, 30.5, dark), outcome(SCORES[::-1].copy(), 30.5, dark)
    same = [index for index in range(60) if index in dark or (index > 30) == (59 - index > 30)]
    assert judge(one, other).agreement == pytest.approx(len(same) / 60)
    assert judge(one, outcome(SCORES, 30.5)).agreement == pytest.approx(58 / 60)
    assert judge(one, outcome(SCORES, None)).agreement == 1.0


def test_what_is_apart_or_left_out_is_told_from_what_is_counted(tmp_path: Path) -> None:
    bundle = open_bundle(write_tiny_bundle(tmp_path / "tiny.nlb"))
    shown = [*ITEMS[:58], *(LabelledImage(Path(f"{i}.png"), "light", None) for i in range(2))]
    one = outcome(SCORES, 30.5, dark=[59])
    given = [*shown, *ITEMS[58:]]
    judged = Judged.of(bundle, Path("data/tile"), given, shown, {"light"}, one)
    head, *rest = table(judged, [judge(one, one, shown)]).splitlines()
    assert head.endswith(
        "on data/tile: 50 good and 8 defective images, 2 light apart, 2 left out without a part"
    )
    row = next(line.split() for line in rest if line.startswith("openvino"))
    assert row[:3] == ["openvino", "GPU", "fp16"] and "30.5000" in row
    assert not any("CAMERA_FAULT" in line for line in rest)
