"""The extreme-value estimate is near where the tail is regular; it is no promise."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.tail import estimate_limit


@pytest.mark.parametrize(
    ("draw", "truth"),
    [
        (lambda r: r.exponential(size=2000), -np.log(1e-4)),
        (lambda r: r.random(2000), 1 - 1e-4),
        (lambda r: r.normal(size=2000), 3.719),
    ],
    ids=["exponential", "uniform", "normal"],
)
def test_the_estimate_of_a_rate_beyond_the_sample(draw: object, truth: float) -> None:
    estimates = [
        estimate_limit(sorted(draw(np.random.default_rng(seed)).tolist()), 1e-4)
        for seed in range(20)
    ]
    assert np.median(estimates) == pytest.approx(truth, rel=0.15)


@pytest.mark.parametrize(
    ("scores", "rate"),
    [
        ([1.0] * 100, 1e-3),
        ([float(i) for i in range(30)], 1e-3),
        ([float(i) for i in range(500)], 0.2),
    ],
    ids=["all equal", "too few", "inside the sample"],
)
def test_no_estimate_where_there_is_nothing_to_fit(scores: list[float], rate: float) -> None:
    assert estimate_limit(scores, rate) is None
