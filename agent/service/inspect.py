"""Inspecting one frame: bring it to the canvas, infer, decide, each stage timed."""

from __future__ import annotations

import logging
import time

import numpy as np
from numpy.typing import NDArray

from agent.camera import Frame
from agent.decision import Decision, decide
from agent.drift import DriftMonitor
from agent.engine import Engine, EngineFault
from agent.errors import InputError
from agent.inspection import inspect
from agent.picture import look_at
from agent.record import CalibrationRecord
from agent.verdict import Durations, Reason, elapsed_ms
from agent.view import View

log = logging.getLogger(__name__)


class Inspector:
    """A model with its threshold. Whatever goes wrong in it, the answer is never PASS."""

    def __init__(self, engine: Engine, record: CalibrationRecord, view: View) -> None:
        """`view` is what the model saw of an image when it was trained."""
        self._engine = engine
        self._record = record
        self._view = view
        self._monitor: DriftMonitor | None = None
        self._inspected: tuple[NDArray[np.uint8], float] | None = None

    def adopt(self, record: CalibrationRecord) -> None:
        """Decide by another record, and watch for drift away from it."""
        self._record = record
        self._monitor = None

    @property
    def monitor(self) -> DriftMonitor | None:
        """The drift monitor; None before the first part, or where the record allows none."""
        return self._monitor

    def watch_drift(self) -> bool:
        """Show the part just inspected to the monitor; True when that raises the alarm.

        Apart from `inspect`, so that it is done after the verdict has gone out.
        """
        inspected, self._inspected = self._inspected, None
        if inspected is None or self._monitor is None:
            return False
        frame, score = inspected
        return self._monitor.observe(score, look_at(frame))

    def inspect(self, frame: Frame) -> tuple[Decision, Durations]:
        """What is found on a frame, and the durations of queue, inference and decide."""
        start_ns = time.monotonic_ns()
        queue_ms = elapsed_ms(frame.captured_ns, start_ns)
        try:
            canvas = self._view.canvas(frame.image)
        except InputError as error:
            log.error("frame %s cannot be inspected: %s", frame.name, error)
            return Decision.none(Reason.CAMERA_FAULT), Durations(queue=queue_ms)
        try:
            inspection = inspect(self._engine, self._view, canvas)
        except EngineFault as fault:
            log.error("frame %s: %s", frame.name, fault)
            return Decision.none(Reason.ENGINE_FAULT), Durations(queue=queue_ms)
        inferred_ns = time.monotonic_ns()
        height, width = frame.image.shape[:2]
        decision = decide(inspection, self._record, (height, width), self._view.roi)
        if decision.score is not None:
            self._inspected = canvas, decision.score
        if self._monitor is None:
            roi = self._view.roi
            seen = (roi.height, roi.width) if roi else (height, width)
            self._monitor = DriftMonitor(self._record, seen)
        return decision, Durations(
            queue=queue_ms,
            inference=elapsed_ms(start_ns, inferred_ns),
            decide=elapsed_ms(inferred_ns, time.monotonic_ns()),
        )
