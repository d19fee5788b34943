"""The monitor raises DRIFT with what has changed, and leaves an unchanged line alone."""

from __future__ import annotations

import json
from itertools import pairwise

import cv2
import numpy as np
import pytest

from agent.camera.product import render
from agent.drift import DriftMonitor, DriftReport
from agent.drift.causes import causes
from agent.picture import Glance, Look, encode_thumbnail, glance_at, study
from agent.record import CalibrationRecord, Picture, Spread
from tests.agent.factories import make_record

SIZE = (320, 320)
PARTS = [render(11, index, 0.0)[0] for index in range(60)]
GLANCES = [glance_at(part) for part in PARTS]
LOOKS = [study(glance) for glance in GLANCES]


def spread(name: str) -> Spread:
    return Spread(values=sorted(getattr(look, name) for look in LOOKS))


PICTURE = Picture(
    brightness=spread("brightness"),
    sharpness=spread("sharpness"),
    saturated=spread("saturated"),
    difference=Spread(values=sorted(b.difference(a) for a, b in pairwise(LOOKS))),
    reference=encode_thumbnail(np.mean([look.thumbnail for look in LOOKS], axis=0)),
)


def record_of(scores: np.ndarray, **changes: object) -> CalibrationRecord:
    ordered = sorted(scores.tolist())
    record = make_record(ordered, ordered[-4])
    return record.model_copy(update={"picture": PICTURE, **changes})


def glances_after(change: object) -> list[Glance]:
    return [glance_at(change(render(12, index, 0.0)[0])) for index in range(40)]


def looks_after(change: object) -> list[Look]:
    return [study(glance) for glance in glances_after(change)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: p, []),
        (lambda p: np.clip(p * 1.15, 0, 255).astype(np.uint8), ["brighter by"]),
        (lambda p: (p * 0.85).astype(np.uint8), ["darker by"]),
        (lambda p: cv2.GaussianBlur(p, (0, 0), 1.2), ["blurred: sharpness -"]),
        (lambda p: np.roll(p, (0, 12), (0, 1)), ["moved: "]),
        (
            lambda p: np.clip(p.astype(int) + 120, 0, 255).astype(np.uint8),
            ["brighter", "saturated"],
        ),
    ],
    ids=["unchanged", "brighter", "darker", "blurred", "moved", "saturated"],
)
def test_what_has_changed_in_the_pictures_is_named(change: object, words: list[str]) -> None:
    found = causes(PICTURE, looks_after(change), SIZE)
    for word in words:
        assert any(each.startswith(word) for each in found), found
    assert bool(found) == bool(words)


def test_a_movement_is_told_in_camera_pixels_and_by_its_direction() -> None:
    (moved,) = causes(PICTURE, looks_after(lambda p: np.roll(p, (-12, 0), (0, 1))), SIZE)
    along = moved.partition(", ")[2]
    assert along.endswith("px up")
    assert float(along.split()[0]) == pytest.approx(12, abs=1.5)


def test_an_unchanged_line_with_defects_raises_nothing() -> None:
    random = np.random.default_rng(1)
    monitor = DriftMonitor(record_of(random.normal(size=300)))
    for part in range(4000):
        defect = part % 10 == 0
        assert not monitor.observe(
            float(random.normal(8 if defect else 0)), GLANCES[part % 60], SIZE
        )
    assert not monitor.report.drifting and monitor.report.parts == 4000


def test_drift_is_raised_once_and_stays_with_its_cause() -> None:
    random = np.random.default_rng(2)
    monitor = DriftMonitor(record_of(random.normal(size=300)))
    darker = glances_after(lambda part: (part * 0.8).astype(np.uint8))
    raised = [
        monitor.observe(float(random.normal(0 if part < 300 else 1)), darker[part % 40], SIZE)
        for part in range(600)
    ]
    assert sum(raised) == 1 and raised.index(True) >= 300
    report = monitor.report
    assert report.drifting and report.evidence >= 100
    assert report.changes[0].startswith("darker by") and report.changes[-1] == "scores higher"


@pytest.mark.parametrize("score", [1.0, 9.0], ids=["good", "rejected"])
def test_a_part_that_stands_still_before_the_camera_counts_once(score: float) -> None:
    """A stopped belt, or a trigger repeated, raised DRIFT: one score came again and again."""
    random = np.random.default_rng(9)
    monitor = DriftMonitor(record_of(random.normal(size=300)))
    stays = [
        glance_at(np.clip(PARTS[0] + random.normal(0, 2, PARTS[0].shape), 0, 255).astype(np.uint8))
        for _ in range(10)
    ]
    for frame in range(200):
        assert not monitor.observe(float(random.normal(score, 0.02)), stays[frame % 10], SIZE)
    assert monitor.report.parts == 1
    for glance in GLANCES[1:]:
        monitor.observe(float(random.normal()), glance, SIZE)
    assert monitor.report.parts == len(GLANCES)


def test_a_part_that_stands_still_after_others_counts_once_too() -> None:
    """Though two parts of the calibration were, by chance, all but the same."""
    random = np.random.default_rng(9)
    alike = PICTURE.model_copy(
        update={"difference": Spread(values=[0.01, *PICTURE.difference.values])}
    )
    monitor = DriftMonitor(record_of(random.normal(size=300), picture=alike))
    for glance in GLANCES[1:20]:
        monitor.observe(float(random.normal()), glance, SIZE)
    for _ in range(10):
        noisy = PARTS[0] + random.normal(0, 2, PARTS[0].shape)
        glance = glance_at(np.clip(noisy, 0, 255).astype(np.uint8))
        monitor.observe(float(random.normal()), glance, SIZE)
    assert monitor.report.parts == 20


def test_a_line_that_rejects_everything_is_told() -> None:
    random = np.random.default_rng(3)
    monitor = DriftMonitor(record_of(random.normal(size=300)))
    assert any(monitor.observe(50.0, glance, SIZE) for glance in GLANCES[:40])
    assert monitor.report.changes[-1] == "most parts are rejected"


@pytest.mark.parametrize(
    ("scores", "changes"),
    [(np.arange(300.0), {"method": "cross"}), (np.arange(15.0), {})],
    ids=["scores of other models", "too few"],
)
def test_what_cannot_be_compared_is_not_watched(
    scores: np.ndarray, changes: dict[str, object]
) -> None:
    monitor = DriftMonitor(record_of(scores, **changes))
    assert not monitor.able
    assert not any(monitor.observe(1000.0, GLANCES[0], SIZE) for _ in range(100))


def test_what_passes_is_compared_with_what_lies_below_the_limit() -> None:
    """The limit is one of the scores, and chosen among them: it is no score like the others."""
    record = record_of(np.arange(300.0), picture=None)
    assert record.threshold == 296.0
    monitor = DriftMonitor(record)
    assert len(json.loads(monitor.memory)["counts"]) == 296 + 1
    monitor.observe(296.0, GLANCES[0], SIZE)  # which passes
    assert sum(json.loads(monitor.memory)["counts"]) == 296 + 1 + 1
    monitor.observe(296.5, GLANCES[0], SIZE)  # and this one is a reject
    assert sum(json.loads(monitor.memory)["counts"]) == 296 + 1 + 1


def test_when_its_bets_are_over_the_watch_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line of a part a second would be watched for two weeks, and never again."""
    monkeypatch.setattr("agent.drift.monitor.HORIZON", 100)
    monitor = DriftMonitor(record_of(np.arange(300.0), picture=None))
    random = np.random.default_rng(9)
    for _ in range(101):
        monitor.observe(float(random.uniform(0, 290)), GLANCES[0], SIZE)
    assert monitor.report.parts == 1


def test_a_monitor_goes_on_where_the_one_before_it_ended() -> None:
    """A station that starts anew every morning would otherwise never gather the evidence."""
    random = np.random.default_rng(5)
    record = record_of(random.normal(size=300), picture=None)
    scores = random.normal(0.6, size=2000).tolist()
    whole = DriftMonitor(record)
    alarm = next(i for i, score in enumerate(scores) if whole.observe(score, GLANCES[0], SIZE))
    memory: bytes | None = None
    for part, score in enumerate(scores):  # a station of a single part each
        monitor = DriftMonitor(record, memory)
        if monitor.observe(score, GLANCES[0], SIZE):
            break
        assert monitor.report.parts == part + 1
        memory = monitor.memory
    # Other places within the gaps are drawn, so not to the part.
    assert 0.7 * alarm < part < 1.4 * alarm
    again = DriftMonitor(record, monitor.memory)
    assert again.report == monitor.report and again.report.drifting
    assert not again.observe(9.0, GLANCES[0], SIZE), "the alarm is raised once"


def test_nothing_that_was_gathered_is_lost_by_a_start() -> None:
    """Of a line that is switched off every evening, rejects or good parts alone would count."""
    random = np.random.default_rng(11)
    record = record_of(random.normal(size=300), picture=None)
    monitor = DriftMonitor(record)
    for part in range(200):
        score = 9.0 if part % 40 == 0 else float(random.normal(0.2))
        monitor.observe(score, GLANCES[0], SIZE)
    again = DriftMonitor(record, monitor.memory)
    assert again.report == monitor.report
    assert json.loads(again.memory) == json.loads(monitor.memory)


def test_evidence_against_another_calibration_is_none_against_this() -> None:
    random = np.random.default_rng(6)
    first, second = (record_of(random.normal(size=300), picture=None) for _ in range(2))
    monitor = DriftMonitor(first)
    while not monitor.observe(3.0, GLANCES[0], SIZE):
        pass
    for memory in (None, b"", b"{}", b"\xff", monitor.memory):
        fresh = DriftMonitor(second, memory)
        assert not fresh.report.drifting and fresh.report.parts == 0


@pytest.mark.parametrize(
    "spoilt",
    [
        {"stakes": [0.1]},
        {"terms": "others"},
        {"later": 1},
        {"counts": [0] * 300},
        {"counts": [1]},
        {"aside": -1.0},
        {"aside": float("inf")},
    ],
    ids=["fewer bets", "other bets", "newer", "no counts", "too few counts", "a debt", "no end"],
)
def test_a_memory_that_cannot_be_gone_on_with_is_left(spoilt: dict[str, object]) -> None:
    """It comes from another version or a sick disk, and must not end the station."""
    record = record_of(np.random.default_rng(7).normal(size=300), picture=None)
    monitor = DriftMonitor(record)
    for _ in range(5):
        monitor.observe(0.0, GLANCES[0], SIZE)
    assert DriftMonitor(record, monitor.memory).report.parts == 5
    memory = json.dumps({**json.loads(monitor.memory), **spoilt}).encode()
    fresh = DriftMonitor(record, memory)
    assert fresh.report.parts == 0
    fresh.observe(0.0, GLANCES[0], SIZE)
    # But for an alarm, which is about the calibration.
    raised = {"evidence": 150.0, "changes": ["scores higher"], "parts": 348}
    memory = json.dumps({**json.loads(memory), "raised": raised}).encode()
    assert DriftMonitor(record, memory).report == DriftReport(150.0, ("scores higher",), 348)


def test_a_memory_says_no_more_than_it_did_before_it_named_its_bets() -> None:
    """A version of then takes nothing else for a memory, and forgets the alarm."""
    record = record_of(np.random.default_rng(7).normal(size=300), picture=None)
    assert json.loads(DriftMonitor(record).memory).keys() == {
        "calibration", "counts", "parts", "aside", "stakes", "on_rejects", "raised",
    }  # fmt: skip


def test_an_alarm_that_an_earlier_normline_has_noted_stays_raised() -> None:
    record = record_of(np.random.default_rng(8).normal(size=300), picture=None)
    raised = {"evidence": 150.0, "changes": ["scores higher"], "parts": 348}
    noted = json.dumps({**json.loads(DriftMonitor(record).memory), "raised": raised}).encode()
    monitor = DriftMonitor(record, noted)
    assert monitor.report == DriftReport(150.0, ("scores higher",), 348)
    assert monitor.report.drifting and json.loads(monitor.memory)["raised"] == raised


def test_a_record_without_pictures_is_watched_by_its_scores() -> None:
    random = np.random.default_rng(4)
    monitor = DriftMonitor(record_of(random.normal(size=300), picture=None))
    assert any(monitor.observe(float(random.normal(2)), GLANCES[0], SIZE) for _ in range(200))
    assert monitor.report.changes == ("scores higher",)
