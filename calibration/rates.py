"""Rates as people write and read them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import click


def percent(rate: float) -> str:
    """1 %, 0.3 %, 250 ppm, 99.99 %: as short as it is exact to three digits, or to what is left."""
    if rate < 1e-3:
        return f"{rate * 1e6:.3g} ppm"
    return f"{rate * 100:.6g} %" if rate > 0.99 else f"{rate * 100:.3g} %"


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
