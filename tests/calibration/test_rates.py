"""Rates as people write them."""

from __future__ import annotations

import click
import pytest

from calibration.rates import Rate, at_most, percent
from calibration.threshold import rank, supported_rate


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
        (0.0009996, "0.1 %"),  # not 1e+03 ppm
        (0.95, "95 %"),
        (0.9999, "99.99 %"),  # never 100 %, which nothing can keep
    ],
)
def test_rates_are_told_as_people_say_them(rate: float, words: str) -> None:
    assert percent(rate) == words


@pytest.mark.parametrize(
    ("rate", "words"),
    [
        (1 / 11, "9.1 %"),
        (1.0002e-2, "1.01 %"),  # "at most 1 %. This is ABOVE the 1 % asked for", it said
        (5 / 501, "0.999 %"),
        (0.01, "1 %"),  # which is a little more in floats
        (0.07, "7 %"),
        (0.9991, "99.91 %"),
    ],
)
def test_a_bound_is_never_told_as_less_than_it_is(rate: float, words: str) -> None:
    assert at_most(rate) == words


@pytest.mark.parametrize("confidence", [None, 0.95])
@pytest.mark.parametrize("n", [10, 61, 97, 298, 1234])
def test_the_lowest_rate_that_samples_support_is_granted_as_it_is_told(
    n: int, confidence: float | None
) -> None:
    """Asked for the 9.09 % that it had named, it wanted one sample more."""
    told = at_most(supported_rate(n, 1, confidence)).replace(" ", "")
    assert rank(n, Rate().convert(told, None, None), confidence) == 1
