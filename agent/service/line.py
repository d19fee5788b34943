"""The loop of the station: takes frames, gives verdicts, listens to commands, beats."""

from __future__ import annotations

import logging
import time
from collections import deque

import zmq

from agent.capture import Captured, CaptureState
from agent.decision import Decision
from agent.journal import OpenPart
from agent.record import CalibrationRecord
from agent.service.equipment import Commands, Equipment
from agent.service.parts import OpenParts, Part
from agent.service.worker import Finding
from agent.sleep import SleepWatch
from agent.states import State, StateMachine
from agent.verdict import Durations, Reason, Verdict, elapsed_ms

log = logging.getLogger(__name__)

# How often the camera is looked after while nothing happens.
LONGEST_WAIT_S = 0.02


class Line:
    """Deals with whatever comes first, in turns that take no time: the inspecting is done beside.

    A part is open from its trigger or its frame until its verdict, which is given for what was
    found, or at once when nothing can be found any more: its frame is lost, its deadline over.
    """

    def __init__(self, equipment: Equipment) -> None:
        self._equipment = equipment
        self._capture = equipment.capture
        self._worker = equipment.worker
        self._faults = equipment.faults
        self._states = StateMachine(equipment.herald.announce)
        self._sleep = SleepWatch()
        self._open = OpenParts()
        # Frames whose part is open and that the worker has not begun, oldest first.
        self._waiting: deque[tuple[str, Captured]] = deque()
        # The verdict on the part that is still being inspected, when that came too late.
        self._overdue: dict[str, Verdict] = {}
        # The token of the last inspection that was told to hang.
        self._hung: str | None = None
        self._camera_parts = 0
        self._ready_ns = 0
        # When the machine was last found to have slept, monotonic.
        self._woke_ns = 0
        self._started = False
        self._hurried = False
        self._halt: str | None = None

    @property
    def state(self) -> State:
        """The station's state; may be read from any thread."""
        return self._states.state

    @property
    def is_busy(self) -> bool:
        """Whether a frame is being inspected or waits for it."""
        return bool(self._waiting) or self._worker.token is not None

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
            left = Part(part.part_id, time.monotonic_ns(), part.deadline_ms)
            self._give(left, Decision.none(Reason.INTERRUPTED))
        self._states.to(State.INITIALIZED, "model, camera and sockets are there")
        self._ready_ns = time.monotonic_ns()
        self.start()
        self._equipment.herald.ready()

    def turn(self, commands: Commands | None = None) -> bool:
        """Wait for what comes first, and deal with it. False at the end."""
        self._wait(commands)
        if self._sleep.has_slept():
            # Their deadlines stood still with the clock; the parts went on.
            log.warning("the machine was suspended: parts that were open get no decision")
            self._woke_ns = time.monotonic_ns()
            self._give_up()
        self._take_finding()
        # A part that is on its way now wants the interpreter and the cores for itself; what else
        # there is to see to can wait for one turn.
        self._hurried = self._take_frames() and not self._hurried
        if self._hurried:
            return True
        self._answer_hopeless()
        self._follow_faults()
        # A worker that hangs is as good as a dead station.
        if not self._worker.is_hung:
            self._equipment.herald.beat(
                self.state, self._capture.status, self._faults, self._worker.drift
            )
        elif self._worker.token != self._hung:
            self._hung = self._worker.token
            log.error(
                "the inspection of a part does not end: the engine hangs, no heartbeat is sent"
            )
        ended = self._capture.status.state is CaptureState.ENDED and not self.is_busy
        return not ended and self._halt is None

    def end(self, cause: str) -> None:
        """Answer what is open, and end in Halted."""
        self._equipment.herald.ending()
        self._give_up()
        self._states.to(State.HALTED, cause)

    def start(self) -> None:
        """Inspect; with the camera lost, as soon as it is back. A lasting fault is cleared."""
        self._started = True
        self._faults.clear_lateness()
        self._follow_faults()
        if self.state is State.INITIALIZED:
            self._states.to(State.READY, "started")
            if self._equipment.mode == "free_run":
                self._states.to(State.CONTINUOUS_EXECUTION, "free run")

    def stop(self) -> None:
        """Inspect no more until `start`; parts that are open get no decision."""
        self._started = False
        self._give_up()
        if self.state in (State.SINGLE_EXECUTION, State.CONTINUOUS_EXECUTION):
            self._states.to(State.READY, "stopped")
        if self.state is State.READY:
            self._states.to(State.INITIALIZED, "stopped")

    def adopt(self, record: CalibrationRecord) -> None:
        """Decide by another record from the next frame on."""
        self._worker.adopt(record)
        self._equipment.results.adopt(record.threshold)
        self._equipment.herald.adopt(record)

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
            refused = self._faults.refusal
        elif self._equipment.mode != "triggered" or not self._started:
            refused = Reason.NOT_READY
        elif not self._capture.trigger(token):
            running = self._capture.status.state is CaptureState.RUNNING
            refused = Reason.OVERRUN if running else Reason.CAMERA_FAULT
        part = Part(part_id, time.monotonic_ns(), deadline_ms or self._equipment.deadline_ms)
        if refused is not None:
            self._give(part, Decision.none(refused))
            return refused
        return self._open_part(token, part)

    def _open_part(self, token: str, part: Part) -> int:
        self._open.add(token, part)
        if self.state is State.READY:
            self._states.to(State.SINGLE_EXECUTION, f"part {part.part_id}")
        return self._equipment.journal.open_part(OpenPart(part.part_id, part.deadline_ms))

    def _wait(self, commands: Commands | None) -> None:
        """Until there is something to do, and never longer than the camera can be left alone."""
        wait_s = LONGEST_WAIT_S
        sources: list[tuple[zmq.Socket[bytes] | int, int]] = [(self._worker.descriptor, zmq.POLLIN)]
        if self._capture.descriptor is not None and self._wants_frames:
            sources.append((self._capture.descriptor, zmq.POLLIN))
        if commands is not None:
            sources += [(source, zmq.POLLIN) for source in commands.sources]
            wait_s = min(wait_s, commands.rest_s or wait_s)
        deadline_ns = self._open.next_deadline_ns
        if deadline_ns is not None:
            wait_s = min(wait_s, max(0.0, (deadline_ns - time.monotonic_ns()) / 1e9))
        # Rounded up: to wake too early is to wake twice.
        zmq.zmq_poll(sources, int(wait_s * 1000) + 1)

    @property
    def _wants_frames(self) -> bool:
        """Free run: when it can be inspected at once, so that it is the newest. Triggered: one
        ahead, so that the worker need not wait. Camera-triggered: all, as each is a part.
        """
        if self._equipment.mode == "free_run":
            return not self.is_busy
        return self._equipment.mode == "camera_triggered" or not self._waiting

    def _take_frames(self) -> bool:
        """Take what the camera has; whether the worker has got a frame of it."""
        captured = self._capture.take(0, want=self._wants_frames)
        while captured is not None:
            # Parts are numbered as they passed: those that were missed came before this one.
            self._answer_missed()
            self._admit(captured)
            if not self._wants_frames:
                break
            captured = self._capture.take(0)
        self._answer_missed()
        while self._waiting and self._worker.token is None:
            token, captured = self._waiting.popleft()
            if self._open.holds_token(token):
                self._worker.inspect(token, captured)
                return True
        return False

    def _answer_missed(self) -> None:
        for _ in range(self._capture.missed_parts()):
            self._give(self._camera_part(time.monotonic_ns()), Decision.none(Reason.OVERRUN))

    def _admit(self, captured: Captured) -> None:
        """Let a frame wait for the worker, under the token of its part."""
        if captured.token is not None:
            # Of a part that is open: the triggers of the others were forgotten.
            token = captured.token
        elif (refused := self._refusal(captured)) is not None:
            if self._equipment.mode == "camera_triggered":
                part = self._camera_part(captured.frame.captured_ns)
                self._give(part, Decision.none(refused))
            return
        elif self._equipment.mode == "camera_triggered":
            part = self._camera_part(captured.frame.captured_ns)
            if len(self._waiting) >= self._equipment.pending_limit:
                self._give(part, Decision.none(Reason.OVERRUN))
                return
            token = self._open.new_token()
            self._open_part(token, part)
        else:
            token = self._open.new_token()
            frame = captured.frame
            part = Part(frame.name, frame.captured_ns, self._equipment.deadline_ms)
            self._open.add(token, part)
        self._waiting.append((token, captured))

    def _refusal(self, captured: Captured) -> Reason | None:
        """Why a frame that nobody has triggered is not inspected."""
        if not self._started or self.state is State.ERROR:
            return Reason.NOT_READY
        # Its age stood still while the machine slept.
        return Reason.INTERRUPTED if captured.frame.captured_ns < self._woke_ns else None

    def _camera_part(self, begun_ns: int) -> Part:
        """The next part that the camera's own trigger has announced."""
        self._camera_parts += 1
        part_id = f"{self._equipment.journal.epoch}-{self._camera_parts}"
        return Part(part_id, begun_ns, self._equipment.deadline_ms)

    def _take_finding(self) -> None:
        finding = self._worker.take()
        if finding is None:
            return
        overdue = self._overdue.pop(finding.token, None)
        part = self._open.take(finding.token)
        if overdue is not None:
            frame = finding.captured.frame
            self._equipment.results.keep_late(overdue, finding.decision, frame)
        if part is None:
            return
        captured_ns = finding.captured.frame.captured_ns
        durations = finding.durations
        if self._equipment.mode == "triggered":
            capture_ms = elapsed_ms(part.begun_ns, captured_ns)
            durations = durations.model_copy(update={"capture": capture_ms})
        self._faults.note_picture(finding.decision)
        self._give(part, finding.decision, finding, durations)

    def _answer_hopeless(self) -> None:
        for token in self._capture.lost_tokens():
            part = self._open.take(token)
            if part is not None:
                self._give(part, Decision.none(Reason.CAMERA_FAULT))
        for token, part in self._open.take_late(time.monotonic_ns()):
            self._capture.forget(token)
            verdict = self._give(part, Decision.none(Reason.DEADLINE))
            if token == self._worker.token:
                self._overdue[token] = verdict
            elif verdict.reason is Reason.DEADLINE and all(
                token != waiting for waiting, _ in self._waiting
            ):
                self._faults.note_unseen()
        if self.state is State.SINGLE_EXECUTION and not self._open:
            self._states.to(State.READY, "every part is answered")

    def _give(
        self,
        part: Part,
        decision: Decision,
        finding: Finding | None = None,
        durations: Durations | None = None,
    ) -> Verdict:
        unready = part.begun_ns < self._ready_ns and part.is_late(time.monotonic_ns())
        if unready and decision.reason in (None, Reason.DEADLINE):
            # It passed while the station was starting, which tells nothing of how fast the line is.
            decision = Decision.none(Reason.NOT_READY)
        verdict = self._equipment.results.give(
            part,
            decision,
            frame=finding.captured.frame if finding is not None else None,
            durations=durations,
            found_ns=finding.found_ns if finding is not None else None,
        )
        self._faults.note(verdict, part.begun_ns)
        return verdict

    def _follow_faults(self) -> None:
        fault = self._faults.now(self._capture.status, self._equipment.journal)
        if fault is not None:
            if self.state is not State.ERROR:
                self._states.to(State.ERROR, fault)
            # A lost camera names the parts that it takes with it; what it has delivered is good.
            if self._faults.refusal is Reason.NOT_READY:
                self._give_up()
        elif self.state is State.ERROR:
            self._states.to(State.INITIALIZED, "the fault is over")
            if self._started:
                self.start()

    def _give_up(self) -> None:
        for token, part in self._open.take_all():
            self._capture.forget(token)
            self._give(part, Decision.none(Reason.INTERRUPTED))
