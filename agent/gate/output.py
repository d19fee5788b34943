"""What a gate drives: a line of a GPIO chip, or a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from agent.errors import InputError
from agent.gate.wires import chip_and_line, claim, load_gpiod, request_line


class Output(Protocol):
    """Drives the gate: True lets through. It rejects before the first `drive`, and when closed."""

    def drive(self, on: bool) -> None: ...

    def close(self) -> None: ...


class FileOutput:
    """A file that takes `1` and `0`, such as those of sysfs."""

    def __init__(self, path: Path) -> None:
        try:
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
            claim(self._descriptor, path)
        except OSError as error:
            raise InputError(f"cannot open the output {path}: {error.strerror}") from error
        self._path = path
        self.drive(False)

    def drive(self, on: bool) -> None:
        try:
            os.pwrite(self._descriptor, b"1\n" if on else b"0\n", 0)
        except OSError as error:
            raise InputError(f"cannot drive the output {self._path}: {error.strerror}") from error

    def close(self) -> None:
        self.drive(False)
        os.close(self._descriptor)


class GpioOutput:
    """A line of a GPIO chip."""

    def __init__(self, chip: str, line: int) -> None:
        gpiod = load_gpiod()
        self._values = (gpiod.line.Value.INACTIVE, gpiod.line.Value.ACTIVE)
        settings = gpiod.LineSettings(
            direction=gpiod.line.Direction.OUTPUT, output_value=self._values[False]
        )
        self._request = request_line(gpiod, chip, line, settings)
        self._line = line

    def drive(self, on: bool) -> None:
        try:
            self._request.set_value(self._line, self._values[on])
        except OSError as error:
            raise InputError(f"cannot drive GPIO line {self._line}: {error.strerror}") from error

    def close(self) -> None:
        self.drive(False)
        self._request.release()


class Alternating:
    """Turns a steady "on" into a change at every call, for a relay that falls without changes."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._level = False

    def drive(self, on: bool) -> None:
        self._level = on and not self._level
        self._output.drive(self._level)

    def close(self) -> None:
        self._output.close()


def open_output(uri: str, alternating: bool) -> Output:
    """Open `gpio://CHIP/LINE` or `file://PATH`; it rejects until it is driven.

    Raises:
        InputError: it cannot be opened.
    """
    scheme, _, path = uri.partition("://")
    output: Output = FileOutput(Path(path)) if scheme == "file" else GpioOutput(*chip_and_line(uri))
    return Alternating(output) if alternating else output
