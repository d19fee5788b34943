"""What a drift monitor says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DriftReport:
    """How things stand with the calibration.

    evidence: the capital of the bets against "nothing has changed", 1 at the start; changes: in
    words, the most telling first, none while in control; parts: judged since the calibration came
    into force, one that stands still before the camera once.
    """

    evidence: float
    changes: tuple[str, ...]
    parts: int

    @property
    def drifting(self) -> bool:
        """Whether the alarm is raised; it stays until the next calibration."""
        return bool(self.changes)
