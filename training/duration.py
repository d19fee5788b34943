"""Durations as people write them."""

from __future__ import annotations

import re

from training.errors import InputError

UNITS = {"s": 1, "m": 60, "h": 3600}


def parse_seconds(text: str, option: str) -> float:
    """`45m`, `90s` or `2h` in seconds; `option` names the option in the error."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text)
    if not found or float(found[1]) == 0:
        raise InputError(f"{option} {text}: give a number and s, m or h, such as 45m")
    return float(found[1]) * UNITS[found[2]]
