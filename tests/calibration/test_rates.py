"""Rates as people write them."""

from __future__ import annotations

import click
import pytest

from calibration.rates import Rate, percent


@pytest.mark.parametrize(
    ("text", "rate"),
    [("0.01", 0.01), ("1%", 0.01), ("0.7%", 0.007), (" 2 %", 0.02), ("500ppm", 0.0005)],
)
def test_a_rate_is_written_in_three_ways(text: str, rate: float) -> None:
    assert Rate().convert(text, None, None) == rate


@pytest.mark.parametrize("text", ["0", "1", "100%", "-1%", "one", "", "1e6ppm", "nan", "2 percent"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="such as 0.01, 1% or 500ppm"):
        Rate().convert(text, None, None)


@pytest.mark.parametrize(
    ("rate", "words"),
    [
        (0.01, "1 %"),
        (0.017241, "1.72 %"),
        (0.0005, "500 ppm"),
        (0.95, "95 %"),
        (0.9999, "99.99 %"),  # never 100 %, which nothing can keep
    ],
)
def test_rates_are_told_as_people_say_them(rate: float, words: str) -> None:
    assert percent(rate) == words
