"""A defect among the normals stands out; a long tail does not."""

from __future__ import annotations

import numpy as np
import pytest

from agent.picture import Look
from calibration.evidence import Promise
from calibration.normals import Normal
from calibration.suspects import KNOWN_BEFORE, leave_one_out, limit_without_largest

LOOK = Look(100, 0.1, 0, np.zeros((64, 64), np.float32))


def parts(scores: np.ndarray) -> list[Normal]:
    return [Normal(f"{i}.png", float(score), 0.0, LOOK) for i, score in enumerate(scores)]


def test_two_defects_are_named_though_the_second_hides_behind_the_first() -> None:
    scores = np.concatenate([np.random.default_rng(1).normal(size=200), [9.0, 9.2]])
    found = [each for each in leave_one_out(parts(scores), Promise(0.01)) if each.suspect]
    assert [each.name for each in found] == ["201.png", "200.png"]
    # Number 2 from the top is the limit: a defect as it is, the largest normal score without one.
    assert found[0].threshold == pytest.approx(scores[:200].max())
    assert found[0].chance < 0.01


@pytest.mark.parametrize("shape", ["normal", "exponential", "uniform"])
def test_clean_normals_are_seldom_suspected(shape: str) -> None:
    random = np.random.default_rng(2)
    draws = [getattr(random, shape)(size=200) for _ in range(300)]
    looked = [leave_one_out(parts(draw), Promise(0.05)) for draw in draws]
    suspected = sum(any(each.suspect for each in found) for found in looked)
    assert suspected <= 0.03 * 300


def test_the_limit_without_a_suspect_is_what_the_rest_would_give() -> None:
    scores = np.append(np.random.default_rng(3).normal(size=150), 12.0)
    first, *others = leave_one_out(parts(scores), Promise(0.01))
    assert first.suspect and not any(each.suspect for each in others)
    assert first.threshold == pytest.approx(np.sort(scores)[-2])


def test_few_or_equal_scores_suspect_nothing() -> None:
    for scores in (np.array([1.0, 2.0]), np.ones(50), np.array([1.0])):
        assert not any(each.suspect for each in leave_one_out(parts(scores), Promise(0.5)))


def test_new_parts_are_looked_at_among_all_that_the_limit_rests_on() -> None:
    """Of twenty new parts beside 300, the largest new one was told as if it were the limit."""
    former = np.random.default_rng(4).normal(size=300)
    new = parts(np.array([0.1, 0.2, 8.0]))
    pooled = [*former, *(part.score for part in new)]
    first, second, *_ = leave_one_out(new, Promise(0.01), pooled)
    assert first.name == "2.png" and first.suspect
    # Of 302 parts left, 1 % allows for two above the limit.
    assert first.threshold == pytest.approx(np.sort(former)[-3])
    assert second.name == KNOWN_BEFORE and not second.suspect


def test_the_limit_without_the_three_largest_is_what_the_rest_would_give() -> None:
    scores = [*map(float, range(60)), 90.0, 95.0, 99.0]
    assert limit_without_largest(scores, Promise(0.02)) == 59.0
    assert limit_without_largest(scores, Promise(0.1, review_rate=0.1)) == 48.0
    assert limit_without_largest(scores[:40], Promise(0.01)) == 36.0  # which so few do not support
    assert limit_without_largest([1.0, 2.0], Promise(0.5)) == 1.0
