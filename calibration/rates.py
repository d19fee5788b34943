"""Rates as people write them on a command line."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import click


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
