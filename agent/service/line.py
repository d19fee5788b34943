"""The loop of the station: takes frames, gives verdicts, listens to commands, beats."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Literal

from agent.capture import Capture, Captured, CaptureState
from agent.decision import Decision
from agent.journal import Journal, OpenPart
from agent.record import CalibrationRecord
from agent.service.herald import Herald
from agent.service.inspect import Inspector
from agent.service.parts import OpenParts, Part
from agent.service.results import Results
from agent.states import State, StateMachine
from agent.verdict import Reason, elapsed_ms

log = logging.getLogger(__name__)

FRAME_WAIT_S = 0.02
# With a part in front of the camera, the next command must not wait long either.
TRIGGERED_FRAME_WAIT_S = 0.002


@dataclass(frozen=True)
class Equipment:
    """What the loop works with; all of it open and checked."""

    mode: Literal["free_run", "triggered"]
    deadline_ms: float | None
    capture: Capture
    inspector: Inspector
    journal: Journal
    results: Results
    herald: Herald


class Line:
    """Everything here happens in one thread, in turns; each turn is at most one frame long."""

    def __init__(self, equipment: Equipment) -> None:
        self._equipment = equipment
        self._capture = equipment.capture
        self._states = StateMachine(equipment.herald.announce)
        self._open = OpenParts()
        self._started = False
        self._halt: str | None = None
        self.malformed = 0

    @property
    def state(self) -> State:
        """The station's state; may be read from any thread."""
        return self._states.state

    @property
    def waits_for_triggers(self) -> bool:
        """Whether only a command can bring the next part."""
        return self._equipment.mode == "triggered" and not self._open

    @property
    def ended_by(self) -> str:
        """Why the last turn was the last."""
        return self._halt or "the camera has no more frames"

    def halt(self, cause: str) -> None:
        """Ask the loop to end; safe in a signal handler."""
        self._halt = cause

    def begin(self) -> None:
        """Answer what the former run left open, and become Ready."""
        for part in self._equipment.journal.interrupted:
            left = Part(part.part_id, time.monotonic_ns(), part.deadline_ms, is_open=True)
            self._equipment.results.give(left, Decision.none(Reason.INTERRUPTED))
        self._states.to(State.INITIALIZED, "model, camera and sockets are there")
        self.start()
        self._equipment.herald.ready()

    def turn(self) -> bool:
        """One turn: at most one frame, then a heartbeat if it is time. False at the end."""
        wait_s = 0.0
        if not self.waits_for_triggers:
            wait_s = TRIGGERED_FRAME_WAIT_S if self._open else FRAME_WAIT_S
        captured = self._capture.take(wait_s)
        if captured is not None:
            self._inspect(captured)
        self._answer_hopeless()
        self._follow_camera()
        monitor = self._equipment.inspector.monitor
        drift = monitor.report if monitor is not None and monitor.able else None
        self._equipment.herald.beat(self.state, self._capture.status, self.malformed, drift)
        ended = self._capture.status.state is CaptureState.ENDED
        return not ended and self._halt is None

    def end(self, cause: str) -> None:
        """Answer what is open, and end in Halted."""
        self._equipment.herald.ending()
        self._give_up(Reason.INTERRUPTED)
        self._states.to(State.HALTED, cause)

    def start(self) -> None:
        """Inspect; with the camera lost, as soon as it is back."""
        self._started = True
        if self.state is State.INITIALIZED:
            self._states.to(State.READY, "started")
            if self._equipment.mode == "free_run":
                self._states.to(State.CONTINUOUS_EXECUTION, "free run")

    def stop(self) -> None:
        """Inspect no more until `start`; parts that are open get no decision."""
        self._started = False
        self._give_up(Reason.INTERRUPTED)
        if self.state in (State.SINGLE_EXECUTION, State.CONTINUOUS_EXECUTION):
            self._states.to(State.READY, "stopped")
        if self.state is State.READY:
            self._states.to(State.INITIALIZED, "stopped")

    def has_open(self, part_id: str) -> bool:
        """Whether a part of this id awaits its verdict."""
        return self._open.holds(part_id)

    def trigger(self, part_id: str, deadline_ms: float | None) -> Reason | int:
        """A part is in front of the camera; its verdict follows in any case.

        Args:
            part_id: the id of no open part.
            deadline_ms: None for the station's own.

        Returns:
            The journal's ticket for the open part; or why no frame will be taken, the part then
            being answered already.
        """
        token = self._open.new_token()
        refused: Reason | None = None
        if self.state is State.ERROR:
            refused = Reason.CAMERA_FAULT
        elif self._equipment.mode != "triggered" or not self._started:
            refused = Reason.NOT_READY
        elif not self._capture.trigger(token):
            running = self._capture.status.state is CaptureState.RUNNING
            refused = Reason.OVERRUN if running else Reason.CAMERA_FAULT
        part = Part(
            part_id,
            time.monotonic_ns(),
            deadline_ms or self._equipment.deadline_ms,
            is_open=refused is None,
        )
        if refused is not None:
            self._equipment.results.give(part, Decision.none(refused))
            return refused
        self._open.add(token, part)
        if self.state is State.READY:
            self._states.to(State.SINGLE_EXECUTION, f"part {part_id}")
        return self._equipment.journal.open_part(OpenPart(part_id, part.deadline_ms))

    def _inspect(self, captured: Captured) -> None:
        if not self._started:
            return
        frame = captured.frame
        if captured.part_id is None:
            part: Part | None = Part(
                frame.name, frame.captured_ns, self._equipment.deadline_ms, is_open=False
            )
        else:
            part = self._open.take(captured.part_id)
        if part is None:
            log.info("a frame came for a part that is already answered")
            return
        decision, durations = self._equipment.inspector.inspect(frame)
        if part.is_open:
            capture_ms = elapsed_ms(part.begun_ns, frame.captured_ns)
            durations = durations.model_copy(update={"capture": capture_ms})
        self._equipment.results.give(
            part, decision, captured_ns=frame.captured_ns, durations=durations
        )
        inspector = self._equipment.inspector
        if inspector.watch_drift() and inspector.monitor is not None:
            self._equipment.herald.drift(inspector.monitor.report)

    def adopt(self, record: CalibrationRecord) -> None:
        """Decide by another record from the next frame on."""
        self._equipment.inspector.adopt(record)
        self._equipment.results.adopt(record.threshold)
        self._equipment.herald.adopt(record)

    def _answer_hopeless(self) -> None:
        for token in self._capture.lost_parts():
            part = self._open.take(token)
            if part is not None:
                self._equipment.results.give(part, Decision.none(Reason.CAMERA_FAULT))
        for part in self._open.take_late(time.monotonic_ns()):
            self._equipment.results.give(part, Decision.none(Reason.DEADLINE))
        if self.state is State.SINGLE_EXECUTION and not self._open:
            self._states.to(State.READY, "every part is answered")

    def _follow_camera(self) -> None:
        status = self._capture.status
        if status.state is CaptureState.FAULT and self.state is not State.ERROR:
            self._states.to(State.ERROR, status.reason)
        elif status.state is CaptureState.RUNNING and self.state is State.ERROR:
            self._states.to(State.INITIALIZED, "the camera is back")
            if self._started:
                self.start()

    def _give_up(self, reason: Reason) -> None:
        for part in self._open.take_all():
            self._equipment.results.give(part, Decision.none(reason))
