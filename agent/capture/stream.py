"""One opening of the camera: a capture process with its pipe and its ring."""

from __future__ import annotations

import multiprocessing
import os
import time
from contextlib import ExitStack
from multiprocessing import process
from typing import Any

from numpy.typing import NDArray

from agent.capture.child import run
from agent.capture.contract import Failed, FromChild, Mode, Opened, Ready, Release, ToChild
from agent.capture.ring import Ring

# OpenCV's import leaves an empty entry: a child process would load libraries from its folder.
LIBRARY_PATH = "LD_LIBRARY_PATH"
os.environ[LIBRARY_PATH] = ":".join(filter(None, os.environ.get(LIBRARY_PATH, "").split(":")))
# A server that has loaded what a capture process needs and forks one on demand: most of the time
# that a camera would take to come back goes into loading. It has no thread that a fork could hurt:
# OpenBLAS ends its own before a fork.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["agent.capture.child"])
# As long as it lives no other is started, also when nobody reaches it: its socket was tidied away.
UNREACHABLE = (FileNotFoundError, ConnectionRefusedError)
# Below it, an operating system that is busy elsewhere would be taken for a fault.
LEAST_STALL_S = 0.15
STALL_PERIODS = 3
# How often to look whether the process lives while nothing comes.
LOOK_S = 0.05
# For a killed process to be gone. It is waited for in the line's own thread, which must not fall
# silent; one that is stuck in the kernel is left behind.
KILL_WAIT_S = 0.1


class Stream:
    """A capture process; nothing of it outlives `close` that can be killed.

    Attributes:
        opened: what the camera said when it opened; None before.
    """

    def __init__(
        self, uri: str, mode: Mode, slots: int, open_limit_s: float, least_stall_s: float
    ) -> None:
        """Start the process.

        open_limit_s: from then on, through opening, to the first frame; least_stall_s: no camera
        is taken for hung before it was without a frame for so long.

        Raises:
            OSError, EOFError: the machine has no room for it.
        """
        self._open_limit_s = open_limit_s
        self._least_stall_s = least_stall_s
        self.opened: Opened | None = None
        self._started_s = time.monotonic()
        self._ring = Ring(slots)
        self._read: int | None = None
        self._looked_ns = self._silent_ns = 0
        with ExitStack() as half_made:
            half_made.callback(self._ring.close)
            self._connection, childs_end = FORKS.Pipe()
            # While it is open here, the pipe would not end with the child.
            with childs_end:
                half_made.callback(self._connection.close)
                self._process = FORKS.Process(
                    target=run,
                    args=(uri, mode, childs_end, self._ring),
                    name="capture",
                    daemon=True,
                )
                self._process.start()
            half_made.pop_all()

    @property
    def pid(self) -> int | None:
        return self._process.pid

    @property
    def descriptor(self) -> int:
        """Readable when the process has said something, or has ended."""
        return self._connection.fileno()

    @property
    def stall_s(self) -> float:
        """How long the camera may stay without a frame; known once it is open."""
        period_s = self.opened.period_s if self.opened is not None else 0
        return max(self._least_stall_s, STALL_PERIODS * period_s)

    @property
    def age_s(self) -> float:
        """Seconds since the process was started."""
        return time.monotonic() - self._started_s

    @property
    def last_beat_ns(self) -> int:
        """When the process last showed life (monotonic)."""
        return self._ring.last_beat_ns()

    def receive(self, timeout_s: float) -> FromChild | None:
        """What the process says next; None when it says nothing for `timeout_s`.

        A process that has died or that shows no life any more reads as `Failed`.
        """
        if self._read is not None:
            slot, self._read = self._read, None
            self.send(Release(slot))
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
        """A copy of the image in a slot, which the process has back with the next `receive`.

        Not at once: it would wake up while the part that it took is being inspected.
        """
        self._read = ready.slot
        return self._ring.read(ready.slot, ready.shape, ready.dtype)

    def close(self) -> None:
        """Kill the process: it may hang, and it keeps nothing that a clean end would save."""
        self._process.kill()
        self._process.join(KILL_WAIT_S)
        # All that are among them are waited for at the interpreter's end, for ever.
        process._children.discard(self._process)  # type: ignore[attr-defined]
        self._connection.close()
        self._ring.close()

    def _stall(self) -> Failed | None:
        if self.opened is None:
            if self.age_s > self._open_limit_s:
                return Failed(f"the camera did not open within {self._open_limit_s:.1f} s", False)
            return None
        now_ns, beat_ns = time.monotonic_ns(), self.last_beat_ns
        heard = beat_ns > self._looked_ns
        seen_ns = now_ns - (beat_ns if heard else self._looked_ns)
        # A line that looks late has stood still, and maybe the whole machine with it.
        self._silent_ns = (0 if heard else self._silent_ns) + min(seen_ns, int(LOOK_S * 1e9))
        self._looked_ns = now_ns
        silent_s = self._silent_ns / 1e9
        if silent_s > self.stall_s:
            return Failed(
                f"no frame for {silent_s:.2f} s, expected within {self.stall_s:.2f} s", False
            )
        return None
