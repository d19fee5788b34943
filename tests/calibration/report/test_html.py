"""The page holds everything it needs, and says what it must."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from agent.picture import Look
from agent.record import CalibrationRecord, Refused
from calibration import words
from calibration.defects import Detection
from calibration.normals import Shown
from calibration.report.content import Report
from calibration.report.histogram import histogram
from calibration.report.html import to_html
from calibration.suspects import LeftOut
from tests.agent.factories import make_record

LOOK = Look(100, 0.1, 0, np.zeros((64, 64), np.float32))
NAME = "odd<1>.png"


@pytest.fixture
def record() -> CalibrationRecord:
    scores = np.random.default_rng(1).normal(size=300).tolist()
    changes = {
        "refused": [Refused(name="late.png", reason="blurred: sharpness 0.01, usual 0.06")],
        "excluded": ["chipped.png"],
        "camera_settings": {"scheme": "v4l2", "exposure": 157},
        "note": "second shift",
        "supported_false_reject_rate": 0.0997,
    }
    return make_record(scores, sorted(scores)[-30]).model_copy(update=changes)


@pytest.fixture
def report(record: CalibrationRecord) -> Report:
    shown = Shown(np.full((32, 32, 3), 90, np.uint8), np.zeros((32, 32), np.float32))
    return Report(
        record,
        "bracket",
        words.promise(record),
        "CAUTION: hardly <one> is found",
        words.reach(record),
        words.estimate(record),
        f"The limit is set by {NAME}",
        [LeftOut(NAME, 5.0, 2.5, 1e-4)],
        [Detection("spot", 5.1, 20, 13, 0.41, 0.85, 14)],
        [(NAME, 5.0, shown), ("least.png", record.threshold, shown)],
    )


@pytest.fixture
def page(report: Report) -> str:
    return to_html(report)


class Tags(HTMLParser):
    """Every element that refers to something, and whether all that was opened was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.references: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.references += [v or "" for name, v in attributes if name in ("src", "href")]
        if tag not in ("meta", "img", "br", "line", "rect"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.open and self.open[-1] == tag:
            self.open.pop()


def test_nothing_is_fetched_and_no_script_runs(page: str) -> None:
    tags = Tags()
    tags.feed(page)
    assert tags.references and all(ref.startswith("data:image/") for ref in tags.references)
    assert "<script" not in page and "http" not in page and "url(" not in page
    assert tags.open == []


@pytest.mark.parametrize(
    "words",
    [
        "≤ 9.97 % of good parts rejected",
        "of normal parts like these that can be judged, on average at most 9.97 % are rejected",
        "What cannot be judged is stopped as well. Left out here, beside these",
        "With 95 % confidence",
        "Estimate WITHOUT guarantee",
        "odd&lt;1&gt;.png",
        "hardly &lt;one&gt; is found</p></header>",
        "The limit is set by odd",
        "</b> above the limit",
        "</b> the limit<br>least.png",
        "limit without it",
        "65%",
        "blurred: sharpness 0.01",
        "chipped.png",
        "excluded by a person",
        "exposure 157",
        "onnxruntime 1.0 on CPU",
        "fp32",
        "second shift",
    ],
)
def test_the_page_says(page: str, words: str) -> None:
    assert words.lower() in page.lower()


def test_it_does_not_reassure_where_numbers_cannot_know(report: Report) -> None:
    """Of a limit that a dented part had set it said: no score stands so far apart."""
    unsuspected = replace(report, largest=[LeftOut(NAME, 5.0, 2.5, 0.08)])
    page = to_html(unsuspected)
    assert "None is so far out that it must be a defect. Look at the pictures all the same" in page
    assert page.index("The limit is set by") < page.index("None is so far out")
    assert "None is so far out" not in to_html(report)


def test_names_cannot_break_the_page(page: str) -> None:
    assert NAME not in page


def test_the_histogram_holds_every_part_and_the_limit_where_it_is() -> None:
    scores = np.sort(np.random.default_rng(2).normal(size=200)).tolist()
    drawing = histogram(scores, [("limit", 2.5)])
    counted = [int(count) for count in re.findall(r"<title>(\d+) parts", drawing)]
    assert sum(counted) == 200
    assert drawing.count('class="mark"') == 200
    marks = [float(x) for x in re.findall(r'class="mark" x1="([\d.]+)"', drawing)]
    (limit,) = (float(x) for x in re.findall(r'class="limit" x1="([\d.]+)"', drawing))
    below = sum(score < 2.5 for score in scores)
    assert marks[below - 1] < limit and all(limit < mark for mark in marks[below:])


def test_equal_scores_make_a_histogram_too() -> None:
    assert "5 parts" in histogram([1.0] * 5, [("limit", 1.0)])
