"""Inspecting one frame: bring it to the canvas, check, infer, decide, each stage timed."""

from __future__ import annotations

import time
from collections import defaultdict
from functools import partial
from typing import Any, Protocol

from numpy.typing import NDArray

from agent.camera import Frame
from agent.decision import Decision, decide
from agent.drift import DriftMonitor, DriftReport
from agent.engine import Engine, EngineFault
from agent.errors import InputError
from agent.inspection import inspect
from agent.picture import Glance, glance_at
from agent.record import CalibrationRecord
from agent.service.picture import PictureCheck
from agent.trouble import Trouble, kind
from agent.verdict import Durations, Reason, elapsed_ms
from agent.view import View

# The name that the monitor's memory is noted under, and how many parts of it a restart may lose.
DRIFT, NOTED_PARTS = "drift", 50


class Notes(Protocol):
    """Where a few things are kept that the next start wants to know."""

    def note(self, name: str, content: bytes) -> None:
        """Keep it, in place of what was kept under this name; takes no time."""

    def noted(self, name: str) -> bytes | None:
        """What was kept last."""


class _Standard:
    """A calibration record with what judges and watches by it."""

    def __init__(self, record: CalibrationRecord, view: View, notes: Notes) -> None:
        self.record = record
        self.check = PictureCheck(record.picture, view.coloured)
        self.monitor = DriftMonitor(record, notes.noted(DRIFT))


class Inspector:
    """A model with its threshold. Whatever goes wrong in it, the answer is never PASS.

    Attributes:
        failed_in_a_row: frames that the model did not score since it last scored one.
    """

    def __init__(self, engine: Engine, record: CalibrationRecord, view: View, notes: Notes) -> None:
        """`view` is what the model saw of an image when it was trained; what the drift monitor
        knows is kept in `notes`."""
        self._engine = engine
        self._notes = notes
        self._unnoted = 0
        self._view = view
        self._seen: tuple[float, Glance, tuple[int, int]] | None = None
        # Whatever it is judged by: a picture that stays is a camera that has stopped.
        self._previous: NDArray[Any] | None = None
        self._unusable = defaultdict[str, Trouble](
            partial(Trouble, "a picture cannot be inspected")
        )
        self._unscored = Trouble("the engine does not score a picture")
        self.failed_in_a_row = 0
        self.adopt(record)

    def adopt(self, record: CalibrationRecord) -> None:
        """Decide by another record from the next frame on; may be called from any thread."""
        # One assignment: a frame sees the old or the new.
        self._standard = _Standard(record, self._view, self._notes)

    @property
    def drift(self) -> DriftReport | None:
        """What the drift monitor says; None where it cannot watch. From any thread."""
        monitor = self._standard.monitor
        return monitor.report if monitor.able else None

    def stir(self) -> None:
        """Keep the engine awake between two frames."""
        self._engine.stir()

    def watch_drift(self) -> None:
        """Show the part that was inspected last to the drift monitor."""
        seen, self._seen = self._seen, None
        if seen is not None:
            score, glance, size = seen
            monitor = self._standard.monitor
            raised = monitor.observe(score, glance, size)
            self._unnoted += 1
            if monitor.able and (raised or self._unnoted >= NOTED_PARTS):
                self._unnoted = 0
                self._notes.note(DRIFT, monitor.memory)

    def inspect(self, frame: Frame) -> tuple[Decision, Durations]:
        """What is found on a frame, and the durations of queue, inference and decide."""
        start_ns = time.monotonic_ns()
        standard = self._standard
        queue_ms = elapsed_ms(frame.captured_ns, start_ns)
        previous, self._previous = self._previous, frame.image
        try:
            seen = self._view.seen(frame.image)
        except InputError as error:
            return self._none(frame, str(error)), Durations(queue=queue_ms)
        glance = glance_at(seen.canvas)
        fault = standard.check.fault(frame.image, glance, previous, frame.repeats)
        if fault is not None:
            return self._none(frame, fault), Durations(queue=queue_ms)
        try:
            inspection = inspect(self._engine, self._view, seen.canvas)
        except EngineFault as error:
            self._unscored.came(f"frame {frame.name}: {error}")
            self.failed_in_a_row += 1
            return Decision.none(Reason.ENGINE_FAULT), Durations(queue=queue_ms)
        self.failed_in_a_row = 0
        inferred_ns = time.monotonic_ns()
        height, width = frame.image.shape[:2]
        decision = decide(inspection, standard.record, (height, width), seen.to_image)
        if decision.score is not None:
            self._seen = decision.score, glance, seen.size
        return decision, Durations(
            queue=queue_ms,
            inference=elapsed_ms(start_ns, inferred_ns),
            decide=elapsed_ms(inferred_ns, time.monotonic_ns()),
        )

    def _none(self, frame: Frame, fault: str) -> Decision:
        self._unusable[kind(fault)].came(f"frame {frame.name}: {fault}")
        return Decision.none(Reason.CAMERA_FAULT, fault)
