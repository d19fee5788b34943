"""Bets on drift are fair while nothing changes, and win when something does."""

from __future__ import annotations

import numpy as np
import pytest

from agent.drift.martingale import ALARM, BETS, HORIZON, REJECT_SHARE, Martingale, start_share


def test_the_capital_is_spread_completely() -> None:
    assert sum(bet.share for bet in BETS) + REJECT_SHARE == pytest.approx(1)
    assert sum(map(start_share, range(HORIZON + 10))) == pytest.approx(1)


@pytest.mark.parametrize("bet", BETS)
def test_every_bet_is_a_density(bet: object) -> None:
    z = np.linspace(-12, 12, 200_001)
    normal = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    assert np.trapezoid(np.exp(bet.log_density(z)) * normal, z) == pytest.approx(1, abs=1e-6)


def test_in_expectation_nothing_is_won_while_nothing_changes() -> None:
    random = np.random.default_rng(1)
    ends = []
    for _ in range(3000):
        martingale = Martingale()
        for p_value in random.random(5).tolist():
            martingale.take(p_value)
        ends.append(martingale.capital)
    assert np.mean(ends) == pytest.approx(1, abs=4 * np.std(ends) / np.sqrt(len(ends)))


def until_alarm(p_values: list[float | None]) -> int | None:
    martingale = Martingale()
    for part, p_value in enumerate(p_values, 1):
        martingale.take(p_value)
        if martingale.capital >= ALARM:
            return part
    return None


@pytest.mark.parametrize(("shift", "most"), [(1.0, 60), (-1.0, 60), (3.0, 15)])
def test_a_shift_is_found(shift: float, most: int) -> None:
    from statistics import NormalDist

    random = np.random.default_rng(5)
    before = random.random(2000).tolist()
    after = [1 - NormalDist().cdf(z) for z in random.normal(shift, 1, 500)]
    found = until_alarm(before + [min(max(p, 1e-9), 1 - 1e-9) for p in after])
    assert found is not None and 2000 < found <= 2000 + most


def test_a_line_that_rejects_everything_is_found_without_a_single_score() -> None:
    random = np.random.default_rng(6)
    found = until_alarm(random.random(2000).tolist() + [None] * 100)
    assert found is not None and 2000 < found <= 2060


def test_half_of_the_parts_rejected_is_no_alarm() -> None:
    random = np.random.default_rng(7)
    parts = [None if random.random() < 0.5 else float(random.random()) for _ in range(5000)]
    assert until_alarm(parts) is None


def test_the_direction_is_told() -> None:
    martingale = Martingale()
    for _ in range(30):
        martingale.take(0.02)
    assert martingale.direction == "scores higher"
