"""A part passes only on a finite score at or below the threshold; a reject says where."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from agent.decision import MAX_REGIONS, decide, find_regions
from agent.engine.base import Inspection
from agent.record import Review
from agent.verdict import Box, Outcome, Reason
from tests.agent.factories import make_record

RECORD = make_record([-4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0], threshold=4.0)
NOTHING = np.zeros((4, 4, 3), np.uint8)


def placed(x: float, y: float, zoom_x: float, zoom_y: float) -> NDArray[np.float64]:
    """Where a map lies in the frame: enlarged so, its corner there."""
    return np.array([[zoom_x, 0.0, x], [0.0, zoom_y, y]])


FRAME = (4, 4)
AS_IT_IS = np.eye(2, 3)


def inspection(score: float, peak: float = 9.0) -> Inspection:
    anomaly_map = np.full((4, 4), -5, np.float32)
    anomaly_map[1, 2] = peak
    return Inspection(score, anomaly_map, NOTHING)


@pytest.mark.parametrize(
    ("score", "outcome", "reason", "p_value"),
    [
        (-9.0, Outcome.PASS, None, 1.0),
        (3.5, Outcome.PASS, None, 0.2),
        # the threshold itself is a normal part's score
        (4.0, Outcome.PASS, None, 0.2),
        (4.0001, Outcome.REJECT, None, 0.1),
        # a score that is no number is no reason to let a part through
        (float("nan"), Outcome.NO_DECISION, Reason.ENGINE_FAULT, None),
        (float("inf"), Outcome.NO_DECISION, Reason.ENGINE_FAULT, None),
        (float("-inf"), Outcome.NO_DECISION, Reason.ENGINE_FAULT, None),
    ],
)
def test_the_score_decides(
    score: float, outcome: Outcome, reason: Reason | None, p_value: float | None
) -> None:
    decision = decide(inspection(score), RECORD, FRAME, AS_IT_IS)
    assert (decision.outcome, decision.reason) == (outcome, reason)
    assert decision.p_value == (pytest.approx(p_value) if p_value is not None else None)
    assert decision.threshold == (RECORD.threshold if p_value is not None else None)
    assert bool(decision.regions) == (outcome is Outcome.REJECT)


@pytest.mark.parametrize(
    ("score", "outcome", "review"),
    [
        (3.9, Outcome.PASS, False),
        (4.0, Outcome.PASS, False),
        (4.5, Outcome.REJECT, True),
        (5.0, Outcome.REJECT, True),
        (5.1, Outcome.REJECT, False),
    ],
)
def test_the_review_band_is_a_reject_that_asks_for_a_look(
    score: float, outcome: Outcome, review: bool
) -> None:
    band = Review(requested_rate=0.1, reject_above=5.0, stopped_rate=0.2)
    decision = decide(
        inspection(score), RECORD.model_copy(update={"review": band}), FRAME, AS_IT_IS
    )
    assert (decision.outcome, decision.review) == (outcome, review)
    assert not decision.too_late().review


def test_a_late_part_keeps_its_findings_and_does_not_pass() -> None:
    late = decide(inspection(-1.0), RECORD, FRAME, AS_IT_IS).too_late()
    assert (late.outcome, late.reason) == (Outcome.NO_DECISION, Reason.DEADLINE)
    assert late.score == -1.0


def test_regions_are_boxes_in_camera_pixels() -> None:
    anomaly_map = np.full((10, 10), -1, np.float32)
    anomaly_map[2:4, 5:8] = 3.0
    anomaly_map[3, 6] = 7.5
    (region,) = find_regions(anomaly_map, 0.0, (200, 300), placed(100, 50, 2, 3))
    assert region.box == Box(x=110, y=56, width=6, height=6)
    assert region.area == 6 * 2 * 3
    assert region.peak == 7.5


def test_a_region_reaches_to_the_pixel_limit_around_a_peak_above_the_threshold() -> None:
    anomaly_map = np.full((10, 10), -5, np.float32)
    anomaly_map[2:6, 2:6] = 1.0  # usual at its edge, but a defect stands on it
    anomaly_map[3, 3] = 6.0
    anomaly_map[8, 8] = 1.0  # as high, and nothing above it
    record = RECORD.model_copy(update={"pixel_limit": 0.0})
    found = Inspection(5.0, anomaly_map, NOTHING)
    (region,) = decide(found, record, (10, 10), AS_IT_IS).regions
    assert region.box == Box(x=2, y=2, width=4, height=4)
    assert (region.area, region.peak) == (16, 6.0)


def test_pixels_that_touch_at_a_corner_are_one_region() -> None:
    regions = find_regions(np.eye(4, dtype=np.float32), 0.5, FRAME, AS_IT_IS)
    assert [region.area for region in regions] == [4]


def test_the_largest_peaks_come_first_and_their_number_is_bounded() -> None:
    anomaly_map = np.zeros((20, 20), np.float32)
    peaks = np.arange(1, 101, dtype=np.float32).reshape(10, 10)
    anomaly_map[::2, ::2] = peaks
    found = find_regions(anomaly_map, 0.5, (20, 20), AS_IT_IS)
    assert [region.peak for region in found] == list(range(100, 100 - MAX_REGIONS, -1))


def test_a_box_never_leaves_the_region_of_interest() -> None:
    full = np.ones((7, 7), np.float32)
    (region,) = find_regions(full, 0.5, (99, 99), placed(3, 5, 10 / 7, 11 / 7))
    assert region.box == Box(x=3, y=5, width=10, height=11)


def test_a_box_of_a_part_that_lies_turned_is_where_the_camera_sees_it() -> None:
    """The map shows the part upright, twice as large; the camera sees it turned by a quarter."""
    anomaly_map = np.full((20, 40), -1, np.float32)
    anomaly_map[4:6, 10:20] = 3.0
    turned = np.array([[0.0, -0.5, 60.0], [0.5, 0.0, 30.0]])
    (region,) = find_regions(anomaly_map, 0.0, (100, 100), turned)
    assert region.box == Box(x=57, y=35, width=1, height=5)
    assert region.area == 5


def test_a_box_may_lie_anywhere_in_a_wide_frame() -> None:
    anomaly_map = np.full((10, 10), -1, np.float32)
    anomaly_map[:, :6] = 3.0
    (region,) = find_regions(anomaly_map, 0.0, (50, 100), placed(85, 38, 1, 1))
    assert region.box == Box(x=85, y=38, width=6, height=10)


def test_a_box_ends_where_the_frame_does() -> None:
    """A window around a part at the frame's edge reaches beyond it."""
    anomaly_map = np.full((10, 10), -1, np.float32)
    anomaly_map[:, :6] = 3.0
    (region,) = find_regions(anomaly_map, 0.0, (50, 50), placed(-4, 45, 1, 1))
    assert region.box == Box(x=0, y=45, width=2, height=5)
    beyond = placed(-20, 45, 1, 1)
    (region,) = find_regions(anomaly_map, 0.0, (50, 50), beyond)
    assert region.box == Box(x=0, y=45, width=1, height=5)
