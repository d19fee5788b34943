"""What sensors and outputs share: nobody else has them, and lines of GPIO chips."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Any

from agent.errors import InputError


def claim(descriptor: int, path: Path) -> None:
    """Keep another gate away: of two, each knows a half of the parts, and both drive the output.

    Raises:
        InputError: one has it; this descriptor is closed.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise InputError(f"another gate uses {path}: stop that one, or give another") from None


def chip_and_line(uri: str) -> tuple[str, int]:
    chip, _, line = uri.removeprefix("gpio://").rpartition("/")
    if not chip or not line.isdecimal():
        raise InputError(f"{uri} names no line: expected gpio:///dev/gpiochip0/17")
    return chip, int(line)


def load_gpiod() -> Any:
    try:
        import gpiod
    except ModuleNotFoundError as error:
        raise InputError(
            "a GPIO line needs gpiod: install.py install … --gate --device gpio brings it"
        ) from error
    return gpiod


def request_line(gpiod: Any, chip: str, line: int, settings: Any) -> Any:
    try:
        return gpiod.request_lines(chip, consumer="normline", config={line: settings})
    except (OSError, ValueError) as error:
        raise InputError(f"cannot use line {line} of {chip}: {error}") from error
