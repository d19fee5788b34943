"""Rates as people write and read them."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Context, Decimal
from typing import Any

import click


def percent(rate: float) -> str:
    """1 %, 0.3 %, 250 ppm, 99.99 %: as short as it is exact to three digits, or to what is left."""
    return _text(rate, ROUND_HALF_EVEN)


def at_most(rate: float) -> str:
    """A bound in the same form, rounded up: one rounded down would not hold, nor be granted."""
    return _text(rate, ROUND_CEILING)


def _text(rate: float, rounding: str) -> str:
    # To 12 digits first: 0.01 is a little more than that in floats, and would be 1.01 %.
    digits = Context(6 if rate > 0.99 else 3, rounding).create_decimal(f"{rate:.12g}")
    if digits < Decimal("0.001"):
        return f"{(digits * 1_000_000).normalize():f} ppm"
    return f"{(digits * 100).normalize():f} %"


class Rate(click.ParamType):
    """A share written as 0.01, 1% or 500ppm."""

    name = "rate"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """A float in (0, 1)."""
        text, divisor = str(value).strip(), 1
        for suffix, parts in (("%", 100), ("ppm", 1_000_000)):
            if text.endswith(suffix):
                text, divisor = text[: -len(suffix)], parts
        try:
            # In floats, 0.7 / 100 is less than 0.007, and one sample more would be asked for.
            rate = float(Decimal(text) / divisor)
        except ArithmeticError:
            rate = 0.0
        if not 0 < rate < 1:
            self.fail(f"{value!r} is not a rate between 0 and 1, such as 0.01, 1% or 500ppm")
        return rate
