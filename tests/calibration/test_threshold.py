"""The threshold keeps its promise, or is refused with the number of samples that would."""

from __future__ import annotations

from itertools import combinations
from math import erf, sqrt

import numpy as np
import pytest

from agent.errors import InputError
from calibration.threshold import (
    at_least,
    chance_above,
    conformal_threshold,
    rank,
    samples_needed,
    supported_rate,
)


@pytest.mark.parametrize(
    ("rate", "value", "k"),
    [
        (0.1, 9.0, 1),
        (0.2, 8.0, 2),
        (0.29, 8.0, 2),
        (0.3, 7.0, 3),
        (0.9, 1.0, 9),
    ],
)
def test_the_threshold_of_a_small_list_by_hand(rate: float, value: float, k: int) -> None:
    scores = [3.0, 1.0, 9.0, 2.0, 8.0, 4.0, 7.0, 5.0, 6.0]
    threshold = conformal_threshold(scores, rate)
    assert threshold.value == value
    assert threshold.supported_rate == pytest.approx(k / 10)
    assert threshold.supported_rate <= rate + 1e-12


@pytest.mark.parametrize(
    ("rate", "needed"),
    [
        (0.5, 1),
        (0.3, 3),
        (1 / 3, 3),
        (0.1, 9),
        (0.05, 19),
        (0.02, 49),
        (0.01, 99),
        (0.007, 142),
        (0.001, 999),
        (500e-6, 1999),
        (0.9, 1),
    ],
)
def test_the_rate_is_refused_just_below_the_samples_it_needs(rate: float, needed: int) -> None:
    assert samples_needed(rate) == needed
    assert rank(needed, rate) >= 1
    with pytest.raises(InputError, match=f"at least {needed} are needed"):
        rank(needed - 1, rate)


@pytest.mark.parametrize("rate", [0.29, 0.57, 0.07, 0.14, 0.28])
def test_a_rate_is_the_decimal_that_was_asked_for(rate: float) -> None:
    """0.29 * 100 is 28.999999999999996 in floating point."""
    assert rank(99, rate) == round(rate * 100)


def test_best_effort_takes_the_largest_and_states_a_higher_rate() -> None:
    threshold = conformal_threshold([1.0, 3.0, 2.0], 0.01, best_effort=True)
    assert threshold.value == 3.0
    assert threshold.supported_rate == pytest.approx(0.25)


def test_best_effort_changes_nothing_where_the_samples_suffice() -> None:
    scores = np.arange(199.0).tolist()
    assert conformal_threshold(scores, 0.05, best_effort=True) == conformal_threshold(scores, 0.05)


@pytest.mark.parametrize("best_effort", [False, True])
def test_no_samples_support_nothing(best_effort: bool) -> None:
    with pytest.raises(InputError, match="0 normal samples"):
        conformal_threshold([], 0.5, best_effort=best_effort)


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_a_rate_outside_of_0_to_1_is_refused(rate: float) -> None:
    with pytest.raises(InputError, match="between 0 and 1"):
        conformal_threshold([1.0, 2.0], rate)


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_a_score_that_is_not_finite_is_refused(score: float) -> None:
    with pytest.raises(InputError, match="not finite"):
        conformal_threshold([1.0, score, 2.0], 0.5)


def _rates(n: int, rate: float, confidence: float | None = None) -> np.ndarray:
    """True false-reject rates of 4,000 calibrations on n standard normal scores each."""
    random = np.random.default_rng(7)
    scores = np.sort(random.normal(size=(4000, n)))
    values = scores[:, n - rank(n, rate, confidence)]
    assert values[0] == conformal_threshold(scores[0].tolist(), rate, confidence).value
    return np.array([0.5 - 0.5 * erf(value / sqrt(2)) for value in values])


@pytest.mark.parametrize(("n", "rate"), [(99, 0.05), (49, 0.02), (30, 0.1)])
def test_the_mean_realised_false_reject_rate_is_the_promised_one(n: int, rate: float) -> None:
    realised = _rates(n, rate)
    error = realised.std() / sqrt(len(realised))
    supported = rank(n, rate) / (n + 1)
    assert realised.mean() <= rate + 4 * error
    # And not by refusing to reject: a k too small by one would fail here.
    assert abs(realised.mean() - supported) <= 4 * error


def test_ties_do_not_break_the_promise() -> None:
    random = np.random.default_rng(8)
    rate, n = 0.1, 29
    rejected = [
        draw[-1] > conformal_threshold(draw[:-1].tolist(), rate).value
        for draw in random.integers(0, 6, (5000, n + 1)).astype(float)
    ]
    assert np.mean(rejected) <= rate
    assert not conformal_threshold([2.0] * n, rate).value < 2.0


@pytest.mark.parametrize(
    ("n", "bound"), [(50, 0.0582), (100, 0.0295), (200, 0.0149), (299, 0.01), (1000, 0.003)]
)
def test_the_bound_of_the_largest_score(n: int, bound: float) -> None:
    assert supported_rate(n, 1, 0.95) == pytest.approx(bound, abs=6e-5)
    assert supported_rate(n, 1, 0.95) == pytest.approx(1 - 0.05 ** (1 / n))


@pytest.mark.parametrize(("rate", "needed"), [(0.05, 59), (0.01, 299), (0.003, 998), (0.001, 2995)])
def test_confidence_needs_more_samples(rate: float, needed: int) -> None:
    assert samples_needed(rate, 0.95) == needed
    assert rank(needed, rate, 0.95) == 1
    with pytest.raises(InputError, match=f"at least {needed} are needed, 1 more"):
        rank(needed - 1, rate, 0.95)


@pytest.mark.parametrize(("n", "rate", "k"), [(1000, 0.01, 5), (1000, 0.05, 39), (93, 0.05, 2)])
def test_the_rank_at_a_confidence_is_the_largest_that_keeps_it(n: int, rate: float, k: int) -> None:
    assert rank(n, rate, 0.95) == k
    assert supported_rate(n, k, 0.95) <= rate < supported_rate(n, k + 1, 0.95)


@pytest.mark.parametrize(("n", "rate"), [(93, 0.05), (299, 0.01)])
def test_a_promise_with_confidence_is_broken_by_one_calibration_in_twenty(
    n: int, rate: float
) -> None:
    broken = np.mean(_rates(n, rate, 0.95) > rate)
    assert 0.03 < broken < 0.06


def test_ranks_from_the_bottom_have_a_bound_too() -> None:
    assert supported_rate(5, 5, 0.95) == pytest.approx(0.95 ** (1 / 5))
    assert supported_rate(1, 1, 0.95) == pytest.approx(0.95)


@pytest.mark.parametrize(("least", "chance"), [(0, 1.0), (1, 1 - 0.99**100), (100, 1e-200)])
def test_the_chance_of_so_many_above(least: int, chance: float) -> None:
    assert at_least(100, 0.01, least) == pytest.approx(chance, abs=1e-9)


@pytest.mark.parametrize(("n", "k", "m"), [(6, 1, 4), (5, 3, 5), (4, 4, 6), (7, 2, 1)])
def test_of_all_orders_of_old_and_new_scores_so_many_have_so_many_above(
    n: int, k: int, m: int
) -> None:
    """Counted one by one: which places from the top are those of new scores."""
    counts = []
    for new in combinations(range(n + m), m):
        old = [place for place in range(n + m) if place not in new]
        counts.append(sum(place < old[k - 1] for place in new))
    for least in range(m + 1):
        share = np.mean([count >= least for count in counts])
        assert chance_above(n, k, m, least) == pytest.approx(share)


def test_a_large_calibration_is_no_matter_for_it() -> None:
    assert chance_above(20_000, 200, 20_000, 0) == pytest.approx(1)
    assert 0 < chance_above(20_000, 200, 20_000, 300) < chance_above(20_000, 200, 20_000, 250)
