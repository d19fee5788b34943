"""How fast an encoder counts is known from its last moves, however they are brought."""

from __future__ import annotations

import pytest

from agent.gate.speed import Speed


def after(*moves: tuple[float, int]) -> float:
    speed = Speed()
    for now_s, position in moves:
        speed.moved(now_s, position)
    return speed.per_s


@pytest.mark.parametrize("step", [1, 50])
def test_a_steady_count_has_its_speed_also_in_steps(step: int) -> None:
    moves = [(count / 1000, count) for count in range(0, 1000, step)]
    assert after(*moves) == pytest.approx(1000.0)


def test_two_looks_right_after_each_other_make_no_belt_fast() -> None:
    moves = [(count / 1000, count) for count in range(200)]
    assert after(*moves, (0.19901, 200)) == pytest.approx(1000.0, rel=0.02)


def test_a_belt_that_becomes_faster_has_its_new_speed_soon() -> None:
    slow = [(count / 1000, count) for count in range(1000)]
    fast = [(1.0 + count / 1000, 1000 + 3 * count) for count in range(101)]
    assert after(*slow, *fast) == pytest.approx(3000.0)


def test_a_slow_count_has_that_of_its_last_two_moves() -> None:
    assert after((0.0, 0), (0.1, 1), (0.6, 2), (1.1, 3)) == pytest.approx(2.0)


def test_a_count_that_runs_back_has_none() -> None:
    assert after((0.0, 0), (0.1, -1)) == 0.0


def test_a_belt_that_has_stood_runs_as_it_did_until_it_has_moved_on_twice() -> None:
    speed = Speed()
    for count in range(200):
        speed.moved(count / 1000, count)
    speed.begin_anew()
    speed.moved(60.0, 200)
    assert speed.per_s == pytest.approx(1000.0)
    speed.moved(60.004, 202)
    assert speed.per_s == pytest.approx(500.0)
