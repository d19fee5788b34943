"""What the station says of itself: its heartbeat and the changes of its state."""

from __future__ import annotations

import logging
import time

from agent.capture import CaptureStatus
from agent.drift import DriftReport
from agent.evidence import EvidenceStore
from agent.journal import Journal
from agent.messaging.door import Door
from agent.messaging.publisher import Publisher
from agent.messaging.status import DriftAlarm, DriftState, Heartbeat, StateChange, utc
from agent.messaging.topics import Address
from agent.record import CalibrationRecord
from agent.service.faults import Faults
from agent.service.notify import Notifier
from agent.service.watchdog import Watchdog
from agent.states import State

log = logging.getLogger(__name__)

HEARTBEAT_S = 0.2


class Herald:
    """Speaks for the loop, and only when the loop asks it to: its silence is the loop's."""

    def __init__(
        self,
        address: Address,
        journal: Journal,
        door: Door,
        publisher: Publisher,
        notifier: Notifier,
        watchdog: Watchdog,
        record: CalibrationRecord,
        evidence: EvidenceStore | None = None,
    ) -> None:
        """`record` is the calibration in force."""
        self._address = address
        self._journal = journal
        self._door = door
        self._publisher = publisher
        self._notifier = notifier
        self._watchdog = watchdog
        self._calibration = record.sha256
        self._drifting = False
        self._journal_failing = False
        self._evidence = evidence
        self._next_beat_s = time.monotonic()

    def ready(self) -> None:
        """The station is Ready for the first time."""
        self._notifier.ready()

    def ending(self) -> None:
        """The station is about to end."""
        self._notifier.stopping()

    def adopt(self, record: CalibrationRecord) -> None:
        """Another calibration is in force; tell so with the next turn of the loop."""
        self._calibration = record.sha256
        self._drifting = False
        self._next_beat_s = time.monotonic()
        log.info("calibration %s is in force", self._calibration)

    def beat(
        self, state: State, camera: CaptureStatus, faults: Faults, drift: DriftReport | None = None
    ) -> None:
        """Once in a turn: see who has subscribed, and send a heartbeat if it is time for one.

        Args:
            state: of the station.
            camera: of the capture process.
            faults: what the station has to tell of its pictures and its pace.
            drift: what the monitor says; None where it cannot watch.
        """
        self._publisher.drain()
        if drift is not None and drift.drifting and not self._drifting:
            self._raise_drift(drift)
        now_s = time.monotonic()
        if now_s < self._next_beat_s:
            return
        self._next_beat_s = now_s + HEARTBEAT_S
        journal_fault = self._journal.fault or self._journal.alarm
        if journal_fault is not None and not self._journal_failing:
            # A disk that hangs gives no error that somebody else could log.
            log.warning("journal fault: %s", journal_fault)
        self._journal_failing = journal_fault is not None
        heartbeat = Heartbeat(
            epoch=self._journal.epoch,
            sent_at=utc(),
            state=state,
            first_seq=self._journal.first_seq,
            last_seq=self._journal.last_seq,
            durable_seq=self._journal.durable_seq,
            camera=camera.state.value,
            frames=camera.frames,
            skipped=camera.skipped,
            stale=camera.stale,
            camera_restarts=camera.restarts,
            picture_fault=faults.picture,
            late_in_a_row=faults.late_in_a_row,
            malformed=self._door.malformed,
            forbidden=self._door.forbidden,
            connections=self._door.connections,
            admitted=self._door.admitted,
            closed=self._door.closed,
            calibration=self._calibration,
            drift=None if drift is None else self._drift_state(drift),
            journal_fault=journal_fault,
            journal_lost=self._journal.lost,
            journal_forgotten=self._journal.forgotten,
            evidence_fault=self._evidence.fault if self._evidence else None,
            evidence_dropped=self._evidence.dropped if self._evidence else 0,
        )
        self._publisher.send(self._address.heartbeat, heartbeat.to_json())
        self._watchdog.feed()

    def _raise_drift(self, report: DriftReport) -> None:
        self._drifting = True
        log.warning("DRIFT: %s", "; ".join(report.changes))
        alarm = DriftAlarm(
            epoch=self._journal.epoch, sent_at=utc(), drift=self._drift_state(report)
        )
        self._publisher.send(self._address.drift, alarm.to_json())

    def _drift_state(self, report: DriftReport) -> DriftState:
        return DriftState(
            state="DRIFT" if report.drifting else "IN_CONTROL",
            evidence=report.evidence,
            changes=report.changes,
            parts=report.parts,
            calibration=self._calibration,
        )

    def announce(self, previous: State, state: State, cause: str) -> None:
        """Tell a change of state."""
        level = logging.WARNING if state is State.ERROR else logging.INFO
        if State.SINGLE_EXECUTION in (previous, state):
            level = logging.DEBUG  # twice for every part
        log.log(level, "%s: %s", state.value, cause)
        change = StateChange(
            epoch=self._journal.epoch,
            sent_at=utc(),
            previous=previous,
            state=state,
            cause=cause,
        )
        self._publisher.send(self._address.state, change.to_json())
