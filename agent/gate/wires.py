"""What a gate is wired to: a sensor, an encoder, an output."""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from pydantic import TypeAdapter

from agent.errors import InputError
from agent.names import Identifier
from agent.trouble import Trouble

log = logging.getLogger(__name__)

# As in a trigger.
PART_ID = TypeAdapter(Identifier)
READ_BYTES, EXAMPLE_BYTES = 4096, 128
# No pipe holds more (fs.pipe-max-size).
PIPE_BYTES = 1 << 20
# Whoever rewrites a file empties it first, and has written it again so soon.
REWRITTEN_S, READ_AGAIN_S = 0.1, 0.001

Position = Callable[[], int]
# A part id, and the time on the monotonic clock in nanoseconds before which it has not come.
Seen = tuple[str, int]


class Sensor(Protocol):
    """Tells which parts have come since it was last asked."""

    descriptor: int

    @property
    def malformed(self) -> int:
        """What it brought that is no part."""

    def parts(self) -> list[Seen]: ...

    def close(self) -> None: ...


class Output(Protocol):
    """Drives the gate: True lets through. It rejects before the first `drive`, and when closed."""

    def drive(self, on: bool) -> None: ...

    def close(self) -> None: ...


def _claim(descriptor: int, path: Path) -> None:
    """Keep another gate away: of two, each knows a half of the parts, and both drive the output.

    Raises:
        InputError: one has it; this descriptor is closed.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise InputError(f"another gate uses {path}: stop that one, or give another") from None


class FifoSensor:
    """A named pipe into which a reader of codes writes one part id a line."""

    def __init__(self, path: Path) -> None:
        """Make the pipe where it is missing.

        Raises:
            InputError: it cannot be made or is something else.
        """
        try:
            with suppress(FileExistsError):
                os.mkfifo(path, 0o620)
                # Whatever the umask is: the reader of codes writes as one of the group.
                path.chmod(0o620)
            if not stat.S_ISFIFO(path.stat().st_mode):
                raise InputError(f"{path} is not a named pipe: give another sensor")
            # Open for both: the pipe does not end with the last of its writers.
            self.descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            _claim(self.descriptor, path)
        except OSError as error:
            raise InputError(f"cannot open the sensor {path}: {error.strerror}") from error
        # When the pipe was read empty last: what it brings next has come since.
        self._since_ns = time.monotonic_ns()
        self._rest = self._empty(path)
        self._malformed = Trouble("the sensor brings what is no part id")

    @property
    def malformed(self) -> int:
        return self._malformed.count

    def parts(self) -> list[Seen]:
        """The ids that have come; what is none is told, and its part will find no PASS."""
        began_ns, since_ns = time.monotonic_ns(), self._since_ns
        read = self._read(READ_BYTES)
        *lines, self._rest = (self._rest + read).split(b"\n")
        found = []
        if len(self._rest) > READ_BYTES:
            self._malformed.came(self._rest[:EXAMPLE_BYTES])
            self._rest = b""
        if len(read) < READ_BYTES and not self._rest:
            self._since_ns = began_ns
        for line in lines:
            try:
                found.append((PART_ID.validate_python(line.decode()), since_ns))
            except ValueError:
                self._malformed.came(line[:EXAMPLE_BYTES])
        return found

    def close(self) -> None:
        os.close(self.descriptor)

    def _read(self, at_most: int) -> bytes:
        try:
            return os.read(self.descriptor, at_most)
        except BlockingIOError:
            return b""

    def _empty(self, path: Path) -> bytes:
        """Drop the ids that have waited, and return the beginning of one that is just coming."""
        *lines, rest = self._read(PIPE_BYTES).split(b"\n")
        if lines:
            log.warning(
                "what waited in %s is dropped, as its parts have gone by: %d lines",
                path,
                len(lines),
            )
        return rest


class GpioSensor:
    """A line of a GPIO chip; parts are named by a start of their own and their number."""

    malformed = 0

    def __init__(self, chip: str, line: int) -> None:
        gpiod = _gpiod()
        settings = gpiod.LineSettings(
            direction=gpiod.line.Direction.INPUT, edge_detection=gpiod.line.Edge.RISING
        )
        self._request = _request_line(gpiod, chip, line, settings)
        self.descriptor = self._request.fd
        # Not the time: a machine that boots without a clock begins at the same one again.
        self._start = secrets.token_hex(4)
        self._number = 0

    def parts(self) -> list[Seen]:
        try:
            events = self._request.read_edge_events() if self._request.wait_edge_events(0) else []
        except OSError as error:
            raise InputError(f"cannot read the sensor's GPIO line: {error.strerror}") from error
        found = []
        for event in events:
            self._number += 1
            found.append((f"{self._start}-{self._number}", event.timestamp_ns))
        return found

    def close(self) -> None:
        self._request.release()


class FileEncoder:
    """The count that a file holds. While it is being rewritten the count is what it was."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._count: int | None = None
        # Since when it has been read empty.
        self._empty_s: float | None = None

    def __call__(self) -> int:
        """The count.

        Raises:
            InputError: the file cannot be read, holds no number or stays empty.
        """
        try:
            while not (text := self._path.read_text()):
                now_s = time.monotonic()
                self._empty_s = self._empty_s or now_s
                if now_s - self._empty_s > REWRITTEN_S:
                    raise InputError(f"cannot read the encoder {self._path}: it is empty")
                if self._count is not None:
                    return self._count
                time.sleep(READ_AGAIN_S)
            self._count, self._empty_s = int(text), None
        except (OSError, ValueError) as error:
            raise InputError(f"cannot read the encoder {self._path}: {error}") from error
        return self._count


class FileOutput:
    """A file that takes `1` and `0`, such as those of sysfs."""

    def __init__(self, path: Path) -> None:
        try:
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
            _claim(self._descriptor, path)
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
        gpiod = _gpiod()
        self._values = (gpiod.line.Value.INACTIVE, gpiod.line.Value.ACTIVE)
        settings = gpiod.LineSettings(
            direction=gpiod.line.Direction.OUTPUT, output_value=self._values[False]
        )
        self._request = _request_line(gpiod, chip, line, settings)
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


def open_sensor(uri: str) -> Sensor:
    """Open `gpio://CHIP/LINE` or `fifo://PATH`.

    Raises:
        InputError: it cannot be opened.
    """
    scheme, _, path = uri.partition("://")
    return FifoSensor(Path(path)) if scheme == "fifo" else GpioSensor(*_chip_and_line(uri))


def open_output(uri: str, alternating: bool) -> Output:
    """Open `gpio://CHIP/LINE` or `file://PATH`; it rejects until it is driven.

    Raises:
        InputError: it cannot be opened.
    """
    scheme, _, path = uri.partition("://")
    output: Output = (
        FileOutput(Path(path)) if scheme == "file" else GpioOutput(*_chip_and_line(uri))
    )
    return Alternating(output) if alternating else output


def open_position(encoder: str | None) -> Position:
    """Where the belt stands: the count that a file holds, without one the time in nanoseconds.

    Raises:
        InputError: the encoder cannot be read; also later, when the position is asked for.
    """
    if encoder is None:
        return time.monotonic_ns
    count = FileEncoder(Path(encoder.removeprefix("file://")))
    count()
    return count


def _chip_and_line(uri: str) -> tuple[str, int]:
    chip, _, line = uri.removeprefix("gpio://").rpartition("/")
    if not chip or not line.isdecimal():
        raise InputError(f"{uri} names no line: expected gpio:///dev/gpiochip0/17")
    return chip, int(line)


def _gpiod() -> Any:
    try:
        import gpiod
    except ModuleNotFoundError as error:
        raise InputError(
            "a GPIO line needs gpiod: install.py install … --gate --device gpio brings it"
        ) from error
    return gpiod


def _request_line(gpiod: Any, chip: str, line: int, settings: Any) -> Any:
    try:
        return gpiod.request_lines(chip, consumer="normline", config={line: settings})
    except (OSError, ValueError) as error:
        raise InputError(f"cannot use line {line} of {chip}: {error}") from error
