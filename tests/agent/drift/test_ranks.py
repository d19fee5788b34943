"""While nothing changes, p-values are uniform and independent, however small the calibration."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from numpy.random import Generator

from agent.drift.ranks import Ranks


@pytest.mark.parametrize("n", [0, 5, 300])
def test_p_values_are_uniform_over_calibrations(n: int) -> None:
    random = np.random.default_rng(1)
    last, pairs = [], []
    for _ in range(2000):
        ranks = Ranks(np.sort(random.normal(size=n)).tolist(), random)
        values = [ranks.p_value(score) for score in random.normal(size=20).tolist()]
        last.append(values[-1])
        pairs.append(values[:2])
    counts = np.histogram(last, 10, (0, 1))[0]
    # 10 bins of 200: chi-square beyond 28 has a probability of 0.1 %.
    assert ((counts - 200) ** 2 / 200).sum() < 28
    assert abs(np.corrcoef(np.array(pairs).T)[0, 1]) < 0.08


def test_against_a_fixed_sample_they_would_not_stay_uniform() -> None:
    """Five calibration scores say little; what comes after them corrects them."""
    random = np.random.default_rng(2)
    ranks = Ranks([2.0, 2.1, 2.2, 2.3, 2.4], random)
    values = [ranks.p_value(score) for score in random.normal(size=4000).tolist()]
    assert np.mean(values[:10]) > 0.7
    assert np.mean(values[-1000:]) == pytest.approx(0.5, abs=0.05)


def test_higher_scores_have_smaller_p_values() -> None:
    random = np.random.default_rng(3)
    reference = np.arange(100.0).tolist()
    high, low = Ranks(reference, random).p_value(99.5), Ranks(reference, random).p_value(-1)
    assert 0 < high < 0.01 and 0.99 < low < 1


def test_scores_that_tie_are_spread_over_their_gaps() -> None:
    random = np.random.default_rng(4)
    values = [Ranks([1.0] * 9, random).p_value(1.0) for _ in range(2000)]
    assert np.mean(values) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("drawn", [0.0, 1 - 2.0**-53])
@pytest.mark.parametrize("score", [-1.0, 9.0])
def test_no_p_value_is_0_or_1_whatever_is_drawn(drawn: float, score: float) -> None:
    """No bet survives these: the inspecting thread ended, and the station with it."""
    random = SimpleNamespace(random=lambda: drawn)
    p_value = Ranks([1.0, 2.0], cast(Generator, random)).p_value(score)
    assert 0 < p_value < 1
