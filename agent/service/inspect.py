"""Inspecting one frame: bring it to the canvas, check, infer, decide, each stage timed."""

from __future__ import annotations

import logging
import time

from agent.camera import Frame
from agent.decision import Decision, decide
from agent.engine import Engine, EngineFault
from agent.errors import InputError
from agent.inspection import inspect
from agent.record import CalibrationRecord
from agent.service.picture import PictureCheck
from agent.verdict import Durations, Reason, elapsed_ms
from agent.view import View

log = logging.getLogger(__name__)


class Inspector:
    """A model with its threshold. Whatever goes wrong in it, the answer is never PASS.

    Attributes:
        attempted: frames given to the model.
        completed: of these, the ones that it has scored.
    """

    def __init__(self, engine: Engine, record: CalibrationRecord, view: View) -> None:
        """`view` is what the model saw of an image when it was trained."""
        self._engine = engine
        self._record = record
        self._view = view
        self._check = PictureCheck(record.picture)
        self.attempted = 0
        self.completed = 0

    def inspect(self, frame: Frame) -> tuple[Decision, Durations]:
        """What is found on a frame, and the durations of queue, inference and decide."""
        start_ns = time.monotonic_ns()
        queue_ms = elapsed_ms(frame.captured_ns, start_ns)
        try:
            canvas = self._view.canvas(frame.image)
        except InputError as error:
            return self._unusable(frame, str(error)), Durations(queue=queue_ms)
        fault = self._check.fault(frame.image, canvas)
        if fault is not None:
            return self._unusable(frame, fault), Durations(queue=queue_ms)
        self.attempted += 1
        try:
            inspection = inspect(self._engine, self._view, canvas)
        except EngineFault as fault:
            log.error("frame %s: %s", frame.name, fault)
            return Decision.none(Reason.ENGINE_FAULT), Durations(queue=queue_ms)
        self.completed += 1
        inferred_ns = time.monotonic_ns()
        height, width = frame.image.shape[:2]
        decision = decide(inspection, self._record, (height, width), self._view.roi)
        return decision, Durations(
            queue=queue_ms,
            inference=elapsed_ms(start_ns, inferred_ns),
            decide=elapsed_ms(inferred_ns, time.monotonic_ns()),
        )

    @staticmethod
    def _unusable(frame: Frame, fault: str) -> Decision:
        log.warning("frame %s cannot be inspected: %s", frame.name, fault)
        return Decision.none(Reason.CAMERA_FAULT, fault)
