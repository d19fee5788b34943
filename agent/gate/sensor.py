"""What tells a gate that a part has come: a reader of codes, or a line of a GPIO chip."""

from __future__ import annotations

import logging
import os
import secrets
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from pydantic import TypeAdapter

from agent.errors import InputError
from agent.gate.wires import chip_and_line, claim, load_gpiod, request_line
from agent.names import Identifier
from agent.trouble import Trouble

log = logging.getLogger(__name__)

# As in a trigger.
PART_ID = TypeAdapter(Identifier)
READ_BYTES, EXAMPLE_BYTES = 4096, 128
# No pipe holds more (fs.pipe-max-size).
PIPE_BYTES = 1 << 20

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
            claim(self.descriptor, path)
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
        gpiod = load_gpiod()
        settings = gpiod.LineSettings(
            direction=gpiod.line.Direction.INPUT, edge_detection=gpiod.line.Edge.RISING
        )
        self._request = request_line(gpiod, chip, line, settings)
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


def open_sensor(uri: str) -> Sensor:
    """Open `gpio://CHIP/LINE` or `fifo://PATH`.

    Raises:
        InputError: it cannot be opened.
    """
    scheme, _, path = uri.partition("://")
    return FifoSensor(Path(path)) if scheme == "fifo" else GpioSensor(*chip_and_line(uri))
