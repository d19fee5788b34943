"""The inspecting thread: while it works, the loop hears triggers and keeps deadlines."""

from __future__ import annotations

import os
import queue
import threading
import time
from contextlib import suppress
from dataclasses import dataclass

from agent.capture import Captured
from agent.decision import Decision
from agent.drift import DriftReport
from agent.record import CalibrationRecord
from agent.service.inspect import Inspector
from agent.verdict import Durations

# An inspection that takes so many times as long as the slowest before it will not end any more; nor
# one of so long, whatever was before: the machine may have paused in the midst of one.
HUNG_TIMES = 10
LEAST_HUNG_S, MOST_HUNG_S = 1.0, 10.0
END_S = 5.0
# Between parts the engine is kept awake, as long as the line moves.
REST_S, AWAKE_S = 0.005, 2.0


@dataclass(frozen=True)
class Finding:
    """What was found on a frame; token: of the part that it shows; found_ns: when, monotonic."""

    token: str
    captured: Captured
    decision: Decision
    durations: Durations
    found_ns: int


class Worker:
    """Inspects one frame at a time. What an engine does in its own time is nobody's but its own.

    Attributes:
        token: of the part that is being inspected, or whose finding waits to be taken; else None.
        finished: inspections whose finding has been taken.
    """

    def __init__(self, inspector: Inspector) -> None:
        self._inspector = inspector
        self._work: queue.SimpleQueue[tuple[str, Captured] | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[Finding | BaseException] = queue.SimpleQueue()
        self.descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        """Readable when a finding can be taken."""
        self.token: str | None = None
        self.finished = 0
        self._began_s = 0.0
        self._slowest_s = 0.0
        self._thread = threading.Thread(target=self._run, name="inspect", daemon=True)
        self._thread.start()

    @property
    def drift(self) -> DriftReport | None:
        """Whether parts still score as at the calibration; None where that cannot be watched."""
        return self._inspector.drift

    def adopt(self, record: CalibrationRecord) -> None:
        """Decide by another record from the next frame on."""
        self._inspector.adopt(record)

    @property
    def is_hung(self) -> bool:
        """Whether the inspection under way takes far longer than any before."""
        limit_s = min(max(LEAST_HUNG_S, HUNG_TIMES * self._slowest_s), MOST_HUNG_S)
        return self.token is not None and time.monotonic() - self._began_s > limit_s

    def inspect(self, token: str, captured: Captured) -> None:
        """Begin; only when the finding before has been taken."""
        self.token = token
        self._began_s = time.monotonic()
        self._work.put((token, captured))

    def take(self) -> Finding | None:
        """What was found, or None as long as the inspection goes on."""
        # First the signal, which follows the finding: read last, it may not have come yet.
        with suppress(BlockingIOError):
            os.eventfd_read(self.descriptor)
        try:
            found = self._done.get_nowait()
        except queue.Empty:
            return None
        self._slowest_s = max(self._slowest_s, time.monotonic() - self._began_s)
        self.token = None
        self.finished += 1
        if isinstance(found, BaseException):
            raise found
        return found

    def close(self) -> None:
        """End the thread; one that hangs is left behind."""
        self._work.put(None)
        self._thread.join(END_S)
        if not self._thread.is_alive():
            os.close(self.descriptor)

    def _next(self) -> tuple[str, Captured] | None:
        until_s = time.monotonic() + AWAKE_S
        while time.monotonic() < until_s:
            try:
                return self._work.get(timeout=REST_S)
            except queue.Empty:
                # Only now: the verdict before must not wait for it.
                self._inspector.watch_drift()
                self._inspector.stir()
        return self._work.get()

    def _run(self) -> None:
        while True:
            try:
                work = self._next()
                if work is None:
                    return
                token, captured = work
                self._inspector.watch_drift()  # on a line that never rests
                decision, durations = self._inspector.inspect(captured.frame)
                self._done.put(Finding(token, captured, decision, durations, time.monotonic_ns()))
            except BaseException as error:  # A defect of ours must end the station, not hang it.
                self._done.put(error)
            os.eventfd_write(self.descriptor, 1)
