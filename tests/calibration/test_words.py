"""What a person is told to look at, and of what limit he is warned."""

from __future__ import annotations

import numpy as np
import pytest

from agent.picture import Look
from agent.record import CalibrationRecord
from calibration.defects import Detection
from calibration.evidence import Promise
from calibration.normals import Normal
from calibration.words import caution, look_at, set_by
from tests.agent.factories import make_record

LOOK = Look(100, 0.1, 0, np.zeros((64, 64), np.float32))
CALM = np.random.default_rng(1).normal(size=60)


def parts(scores: np.ndarray) -> list[Normal]:
    return [Normal(f"{i}.png", float(score), 0.0, LOOK) for i, score in enumerate(scores)]


def record_of(scores: np.ndarray, rank: int) -> CalibrationRecord:
    return make_record(scores.tolist(), float(np.sort(scores)[-rank]))


def test_the_parts_that_set_the_limit_are_named_the_limit_s_own_among_them() -> None:
    scores = np.array([1.0, 9.0, 3.0, 2.0, 8.0, 7.5])
    text = set_by(parts(scores), record_of(scores, 1))
    assert text is not None
    assert (
        "of 9 is set by the largest scores: 1.png (9, the limit), 4.png (8), 5.png (7.5)." in text
    )
    text = set_by(parts(scores), record_of(scores, 5))
    assert text is not None and "1.png (9), 4.png (8), 5.png (7.5), 3.png (2, the limit)." in text


def test_two_defects_alike_are_named_though_neither_stands_apart() -> None:
    """One dented part of 61 and a cracked one: the limit tripled, without a word."""
    scores = np.append(CALM, [4.0, 3.6])
    promise, record = Promise(0.02), record_of(scores, 1)
    (text,) = look_at(parts(scores), promise, record, shown=False)
    assert "60.png (4, the limit), 61.png (3.6)" in text
    assert text.endswith("--report FILE.html shows them.")
    (text,) = look_at(parts(scores), promise, record, shown=True)
    assert "--report" not in text


def test_one_that_stands_apart_is_pointed_out_beside() -> None:
    scores = np.append(CALM, 12.0)
    _, text = look_at(parts(scores), Promise(0.02), record_of(scores, 1), shown=True)
    assert text.startswith("look at 60.png: at 12 it stands apart")


def test_new_parts_that_leave_the_limit_to_former_ones_are_not_named() -> None:
    former = np.append(CALM, [12.0, 12.1, 12.2])
    new = parts(np.array([0.1, 0.2]))
    assert look_at(new, Promise(0.02), record_of(former, 1), shown=True) == []


def rows(found: int, otherwise: int) -> list[Detection]:
    """Of three kinds in two sizes, all small ones are found."""
    return [
        Detection(kind, size, 20, of_all // 3, 0.0, 1.0, others // 3)
        for kind in ("spot", "scratch", "stain")
        for size, of_all, others in ((5.1, 60, 60), (20.5, found, otherwise))
    ]


@pytest.mark.parametrize(
    ("found", "otherwise"),
    [
        pytest.param(18, 51, id="one dented part among 61"),
        pytest.param(3, 3, id="another product"),
    ],
)
def test_a_limit_that_finds_few_of_the_largest_drawn_defects_is_cautioned_against(
    found: int, otherwise: int
) -> None:
    text = caution(rows(found, otherwise))
    assert text is not None
    assert f"CAUTION: of the 60 largest drawn defects this limit finds {found}, and " in text
    assert f"{otherwise} where the 3 parts of the largest scores are left out" in text


@pytest.mark.parametrize(
    ("found", "otherwise"),
    [
        pytest.param(54, 57, id="a part that shows defects well"),
        pytest.param(15, 33, id="a surface that hides them"),
        pytest.param(12, 30, id="a surface that hides them better"),
    ],
)
def test_one_of_good_parts_alone_is_not(found: int, otherwise: int) -> None:
    assert caution(rows(found, otherwise)) is None


def test_where_nothing_was_drawn_nothing_is_said() -> None:
    assert caution([]) is None
