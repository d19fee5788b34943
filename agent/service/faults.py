"""What keeps the station from deciding, and what it only has to tell."""

from __future__ import annotations

from agent.capture import CaptureState, CaptureStatus
from agent.decision import Decision
from agent.journal import Journal
from agent.verdict import Outcome, Reason, Verdict

LATE_IN_A_ROW = 3


class Faults:
    """Follows verdicts, camera and journal, and says when nothing may be decided.

    Attributes:
        picture: why the last picture could not be used; None when it could.
        late_in_a_row: verdicts that missed their deadline since the last one in time.
        refusal: what a trigger is answered while there is a fault.
    """

    def __init__(self, *, stop_without_journal: bool) -> None:
        self._stop_without_journal = stop_without_journal
        self.picture: str | None = None
        self.late_in_a_row = 0
        # Of these, the ones whose picture had not come.
        self._late_unseen = 0
        self.refusal = Reason.NOT_READY

    def note_picture(self, decision: Decision) -> None:
        """A frame was looked at."""
        self.picture = decision.detail if decision.reason is Reason.CAMERA_FAULT else None

    def note(self, verdict: Verdict) -> None:
        """A verdict was given."""
        if verdict.reason is Reason.DEADLINE:
            self.late_in_a_row += 1
        elif verdict.verdict is not Outcome.NO_DECISION and not self._too_late:
            self.clear_lateness()

    def note_unseen(self) -> None:
        """The verdict that was late last had waited for the camera, and not for the line."""
        self._late_unseen += 1

    def clear_lateness(self) -> None:
        """The line is in time again; or somebody has seen that it was not, and wants to go on."""
        self.late_in_a_row = self._late_unseen = 0

    def now(self, camera: CaptureStatus, journal: Journal) -> str | None:
        """Why nothing may be decided; None when all is well.

        A camera and a journal come back by themselves. A line that is too slow does not: three
        late verdicts in a row last until somebody says `start`, unless all had waited for a camera
        that turned out to be lost.
        """
        if camera.state is CaptureState.FAULT and self._late_unseen == self.late_in_a_row:
            self.clear_lateness()
        self.refusal = Reason.NOT_READY
        if self._too_late:
            return f"{LATE_IN_A_ROW} verdicts in a row were late: send start when that is mended"
        if self._stop_without_journal and (journal.fault or journal.alarm):
            return f"the journal: {journal.fault or journal.alarm}"
        if camera.state is CaptureState.FAULT:
            self.refusal = Reason.CAMERA_FAULT
            return camera.reason
        return None

    @property
    def _too_late(self) -> bool:
        return self.late_in_a_row >= LATE_IN_A_ROW
