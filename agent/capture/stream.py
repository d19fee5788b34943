"""One opening of the camera: a capture process with its pipe and its ring."""

from __future__ import annotations

import multiprocessing
import time
from typing import Any

from numpy.typing import NDArray

from agent.capture.child import run
from agent.capture.contract import Failed, FromChild, Mode, Opened, Ready, Release, ToChild
from agent.capture.ring import Ring

# From starting a process, through importing and opening, to the first frame.
OPEN_LIMIT_S = 15.0
LEAST_STALL_S = 0.2
STALL_PERIODS = 3
# For a killed process to be gone; one that is stuck in the kernel is left behind.
KILL_WAIT_S = 1.0


class Stream:
    """A capture process; nothing of it outlives `close`.

    Attributes:
        opened: what the camera said when it opened; None before.
    """

    def __init__(self, uri: str, mode: Mode, slots: int) -> None:
        self.opened: Opened | None = None
        self._started_s = time.monotonic()
        self._ring = Ring(slots)
        spawn = multiprocessing.get_context("spawn")
        self._connection, childs_end = spawn.Pipe()
        self._process = spawn.Process(
            target=run, args=(uri, mode, childs_end, self._ring), name="capture", daemon=True
        )
        self._process.start()
        # While it is open here, the pipe would not end with the child.
        childs_end.close()

    @property
    def pid(self) -> int | None:
        return self._process.pid

    @property
    def age_s(self) -> float:
        """Seconds since the process was started."""
        return time.monotonic() - self._started_s

    def receive(self, timeout_s: float) -> FromChild | None:
        """What the process says next; None when it says nothing for `timeout_s`.

        A process that has died or that shows no life any more reads as `Failed`.
        """
        try:
            if self._connection.poll(timeout_s):
                message: FromChild = self._connection.recv()
                if isinstance(message, Opened):
                    self.opened = message
                return message
        except (EOFError, ConnectionResetError):
            self._process.join(KILL_WAIT_S)
            return Failed(f"the capture process ended (exit code {self._process.exitcode})", False)
        return self._stall()

    def send(self, message: ToChild) -> None:
        """Say something to the process; whether it still lives shows in `receive`."""
        try:
            self._connection.send(message)
        except (BrokenPipeError, ConnectionResetError):
            return

    def take_image(self, ready: Ready) -> NDArray[Any]:
        """A copy of the image in a slot, which is the process's again from here on."""
        image = self._ring.read(ready.slot, ready.shape, ready.dtype)
        self.send(Release(ready.slot))
        return image

    def close(self) -> None:
        """Kill the process: it may hang, and it keeps nothing that a clean end would save."""
        self._process.kill()
        self._process.join(KILL_WAIT_S)
        self._connection.close()
        self._ring.close()

    def _stall(self) -> Failed | None:
        if self.opened is None:
            if self.age_s > OPEN_LIMIT_S:
                return Failed(f"the camera did not open within {OPEN_LIMIT_S:g} s", False)
            return None
        limit_s = max(LEAST_STALL_S, STALL_PERIODS * self.opened.period_s)
        silent_s = (time.monotonic_ns() - self._ring.last_beat_ns()) / 1e9
        if silent_s > limit_s:
            return Failed(f"no frame for {silent_s:.2f} s, expected within {limit_s:.2f} s", False)
        return None
