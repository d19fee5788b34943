"""The drift monitor of a station: from each part's score and picture to an alarm that says why."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque

import numpy as np

from agent.drift.causes import causes
from agent.drift.martingale import ALARM, HORIZON, TERMS, Martingale
from agent.drift.memory import Memory, read_memory
from agent.drift.ranks import Ranks
from agent.drift.report import DriftReport
from agent.picture import Glance, Look, stands_still, study
from agent.record import CalibrationRecord

RECENT = 50
LEAST_SCORES = 20


class DriftMonitor:
    """Compares passing parts with the calibration's normal parts that would pass.

    Below the threshold both are normal scores cut at the same place, so defects that are rejected
    do not look like drift. Rejects count by their number alone. A part that stands still before
    the camera counts once, as it did for the calibration. Not for scores of folds, which come from
    other models, nor for fewer than 20.
    """

    def __init__(self, record: CalibrationRecord, memory: bytes | None = None) -> None:
        """Go on from `memory`, where it is one of this calibration; else begin."""
        self._calibration = record.sha256
        self._picture = record.picture
        self._usual = record.picture.difference.percentile(50) if record.picture else 0.0
        count = bisect_right(record.scores, record.threshold)
        # The threshold is one of the scores: what lies below it is exchangeable with what passes.
        self._limit = record.scores[count - 1] if count else record.threshold
        self._reference = record.scores[: max(count - 1, 0)]
        self._able = record.method == "split" and len(self._reference) >= LEAST_SCORES
        self._recent: deque[Look] = deque(maxlen=RECENT)
        self._raised: DriftReport | None = None
        self._begin()
        known = read_memory(memory, self._calibration)
        if known is not None:
            self._raised = known.raised
        if isinstance(known, Memory) and len(known.counts) == len(self._reference) + 1:
            self._go_on(known)

    @property
    def memory(self) -> bytes:
        """What another monitor goes on from."""
        bets = self._martingale
        return Memory(
            calibration=self._calibration,
            counts=self._ranks.counts,
            parts=bets.parts,
            aside=bets.aside,
            stakes=bets.stakes,
            on_rejects=bets.on_rejects,
            raised=self._raised,
            terms=TERMS,
        ).to_json()

    @property
    def able(self) -> bool:
        """Whether the record lets drift be seen."""
        return self._able

    @property
    def report(self) -> DriftReport:
        """How things stand."""
        if self._raised is not None:
            return self._raised
        return DriftReport(self._martingale.capital, (), self._martingale.parts)

    def observe(self, score: float, glance: Glance, size: tuple[int, int]) -> bool:
        """Take in one inspected part, unless it still is the one before.

        Args:
            score: of the part.
            glance: at its picture.
            size: (height, width) of what the picture shows, in camera pixels.

        Returns:
            Whether it raises the alarm, which happens once.
        """
        if not self._able or self._raised is not None:
            return False
        if self._martingale.parts == HORIZON:
            self._begin()
        look = study(glance)
        if self._recent and stands_still(look.difference(self._recent[-1]), self._usual):
            return False
        self._recent.append(look)
        self._martingale.take(self._ranks.p_value(score) if score <= self._limit else None)
        if self._martingale.capital < ALARM:
            return False
        bets = self._martingale
        self._raised = DriftReport(bets.capital, self._changes(size), bets.parts)
        return True

    def _begin(self) -> None:
        self._martingale = Martingale()
        self._ranks = Ranks(self._reference, np.random.default_rng(0))

    def _go_on(self, known: Memory) -> None:
        self._martingale = Martingale(
            parts=known.parts, aside=known.aside, stakes=known.stakes, on_rejects=known.on_rejects
        )
        # Not the places within gaps that were drawn before.
        random = np.random.default_rng(known.parts)
        self._ranks = Ranks(self._reference, random, known.counts)

    def _changes(self, size: tuple[int, int]) -> tuple[str, ...]:
        found: list[str] = []
        if self._picture is not None:
            found = causes(self._picture, list(self._recent), size)
        return (*found, self._martingale.direction)
