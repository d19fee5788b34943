"""The proof can fail, and its shortcuts follow the code that it proves."""

from __future__ import annotations

import numpy as np
import pytest

from agent.drift.martingale import NORMAL, Martingale
from calibration.prove.coverage import Coverage, coverage, realised
from calibration.prove.cross import cross_coverage
from calibration.prove.drift import GIVES_UP, alarm_after, highest_capitals
from calibration.prove.power import power
from calibration.threshold import rank


def test_a_promise_that_is_broken_is_told() -> None:
    row = Coverage("pool", 300, 0.01, 0.95, 1, 0.003, 0.0001, 1000, exceeded=0.04)
    assert row.kept
    broken = Coverage("pool", 300, 0.01, 0.95, 3, 0.01, 0.0001, 1000, exceeded=0.4)
    assert not broken.kept
    assert not Coverage("pool", 99, 0.01, None, 1, 0.02, 0.0001, 1000, exceeded=0.5).kept


def test_the_next_rank_would_break_the_promise() -> None:
    random = np.random.default_rng(1)
    pool = np.sort(random.normal(size=100_000))
    k = rank(1000, 0.05, 0.95)
    kept, broken = (np.mean(realised(pool, 1000, k + more, 1000, random) > 0.05) for more in (0, 8))
    assert kept < 0.08 < broken


def test_every_size_and_rate_that_is_supported_is_tried() -> None:
    random = np.random.default_rng(2)
    rows = list(coverage({"pool": np.sort(random.normal(size=10_000))}, 200, random))
    tried = {(row.n, row.rate, row.confidence) for row in rows}
    assert len(tried) == len(rows) == 14
    assert (300, 0.01, 0.95) in tried and (100, 0.01, 0.95) not in tried
    for row in rows:
        error = np.sqrt(row.calculated * (1 - row.calculated) / 200)
        assert abs(row.exceeded - row.calculated) < 4.5 * error
        assert row.confidence is None or row.calculated <= 1 - row.confidence


def test_the_streams_at_once_follow_the_rules_of_one() -> None:
    seed, parts = 3, 300
    highest = highest_capitals(1, parts, 0.2, np.random.default_rng(seed))
    random = np.random.default_rng(seed)
    martingale, expected = Martingale(), 1.0
    for _ in range(parts):
        z = float(random.standard_normal(1, dtype=np.float32)[0])
        rejected = random.random(1, dtype=np.float32)[0] < 0.2
        martingale.take(None if rejected else 1 - NORMAL.cdf(z))
        expected = max(expected, martingale.capital)
    assert highest[0] == pytest.approx(expected, rel=1e-4)


def test_a_large_shift_is_found_at_once_and_none_never() -> None:
    random = np.random.default_rng(4)
    found = alarm_after(lambda count: random.normal(size=count), 300, 100, 3.0, random)
    assert 1 <= found <= 40
    most = alarm_after(lambda count: random.normal(size=count), 300, 0, 0.0, random, 500)
    assert most == 500 < GIVES_UP


def test_power_compares_with_the_whole_pool() -> None:
    random = np.random.default_rng(5)
    pool, defects = np.sort(random.normal(size=5000)), np.sort(random.normal(3, 1, 5000))
    default = power(pool, defects, 300, 0.01, None, 300, random)
    confident = power(pool, defects, 300, 0.01, 0.95, 300, random)
    assert default.missed_by_pool == pytest.approx(0.25, abs=0.02)
    assert default.more < confident.more


def test_the_pools_own_threshold_rejects_the_stated_share_of_it() -> None:
    pool = np.arange(1000.0)
    # Whatever lies above it is a defect that is found, and of the pool a good part rejected.
    row = power(pool, pool, 300, 0.01, None, 1, np.random.default_rng(7))
    assert row.missed_by_pool == pytest.approx(0.99)


def test_a_models_own_training_parts_promise_too_much() -> None:
    row = cross_coverage(40, 5, 0.05, 60, np.random.default_rng(6))
    assert row.realised < 0.06 < row.naive
