"""What keeps the station from deciding, and what it only has to tell."""

from __future__ import annotations

import time

from agent.capture import CaptureState, CaptureStatus
from agent.decision import Decision
from agent.journal import Journal
from agent.verdict import Outcome, Reason, Verdict

LATE_IN_A_ROW = 3


class Faults:
    """Follows verdicts, camera and journal, and says when nothing may be decided.

    Attributes:
        picture: why the last picture could not be used; None when it could.
        late_in_a_row: how many times verdicts missed their deadline since the last one in time. All
            that one pause of the machine has made late are one time: of parts that had begun when
            the first of them was given.
        refusal: what a trigger is answered while there is a fault.
    """

    def __init__(self, *, stop_without_journal: bool) -> None:
        self._stop_without_journal = stop_without_journal
        self.picture: str | None = None
        self.late_in_a_row = 0
        # When the verdict was given that counted last, monotonic.
        self._counted_ns = 0
        # Of all that were late, the ones whose picture had come.
        self._late_seen = 0
        self.refusal = Reason.NOT_READY

    def note_picture(self, decision: Decision) -> None:
        """A frame was looked at."""
        self.picture = decision.detail if decision.reason is Reason.CAMERA_FAULT else None

    def note(self, verdict: Verdict, begun_ns: int) -> None:
        """A verdict was given on a part that had begun at `begun_ns`, monotonic."""
        if verdict.reason is Reason.DEADLINE:
            self._late_seen += 1
            if begun_ns >= self._counted_ns:
                self.late_in_a_row += 1
                self._counted_ns = time.monotonic_ns()
        elif verdict.verdict is not Outcome.NO_DECISION and not self._too_late:
            self.clear_lateness()

    def note_unseen(self) -> None:
        """The verdict that was late last had waited for the camera, and not for the line."""
        self._late_seen -= 1

    def clear_lateness(self) -> None:
        """The line is in time again; or somebody has seen that it was not, and wants to go on."""
        self.late_in_a_row = self._late_seen = 0

    def now(self, camera: CaptureStatus, journal: Journal) -> str | None:
        """Why nothing may be decided; None when all is well.

        A camera and a journal come back by themselves. A line that is too slow does not: late
        verdicts three times in a row last until somebody says `start`, unless all had waited for a
        camera that turned out to be lost.
        """
        if camera.state is CaptureState.FAULT and not self._late_seen:
            self.clear_lateness()
        self.refusal = Reason.NOT_READY
        if self._too_late:
            return (
                f"verdicts were late {LATE_IN_A_ROW} times in a row: send start when that is mended"
            )
        if self._stop_without_journal and (journal.fault or journal.alarm):
            return f"the journal: {journal.fault or journal.alarm}"
        if camera.state is CaptureState.FAULT:
            self.refusal = Reason.CAMERA_FAULT
            return camera.reason
        return None

    @property
    def _too_late(self) -> bool:
        return self.late_in_a_row >= LATE_IN_A_ROW
