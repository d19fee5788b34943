"""Giving verdicts: numbered, published at once, stored right after."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from agent.camera import Frame
from agent.decision import Decision
from agent.evidence import EvidenceStore
from agent.journal import Journal
from agent.messaging.status import utc
from agent.service.parts import Part
from agent.trouble import Trouble
from agent.verdict import Durations, LateResult, Outcome, Reason, Verdict, elapsed_ms

log = logging.getLogger(__name__)

Send = Callable[[bytes, bytes], None]


@dataclass(frozen=True)
class Recipe:
    """What all verdicts of a run have in common."""

    topic: bytes
    late_topic: bytes
    product_id: str
    bundle_sha256: str
    simulated: bool


class Results:
    """The only place that gives verdicts: each part gets one, whatever became of it."""

    def __init__(
        self,
        recipe: Recipe,
        threshold: float,
        journal: Journal,
        send: Send,
        evidence: EvidenceStore | None = None,
    ) -> None:
        """`threshold`: see `adopt`; `send` publishes a topic and a payload, and does not wait."""
        self._recipe = recipe
        self._threshold = threshold
        self._journal = journal
        self._send = send
        self._evidence = evidence
        self._publish_ms: float | None = None
        # Of pictures that cannot be judged the first is evidence; a night of them would take the
        # room of what was judged.
        self._was_faulty = False
        self._late = Trouble("a part was inspected too late")
        self._undecided = {reason: Trouble(f"no decision, {reason.value}") for reason in Reason}

    def adopt(self, threshold: float) -> None:
        """Tell this one from now on with verdicts that nothing was decided for."""
        self._threshold = threshold

    def give(
        self,
        part: Part,
        decision: Decision,
        *,
        frame: Frame | None = None,
        durations: Durations | None = None,
        found_ns: int | None = None,
    ) -> Verdict:
        """Publish and store what is said of a part; a finding that is late decides nothing.

        Args:
            part: answered by this; if the journal awaits that, it closes it with the verdict.
            decision: what was found.
            frame: what it was found on, None without a frame.
            durations: of the stages that the part went through; `publish` is filled in here.
            found_ns: monotonic; when it was decided, None for now.
        """
        now_ns = time.monotonic_ns()
        late = part.is_late(now_ns)
        if late and decision.outcome is not Outcome.NO_DECISION:
            decision = decision.too_late()
        seq = self._journal.next_seq()
        verdict = Verdict(
            epoch=self._journal.epoch,
            seq=seq,
            result_id=f"{self._journal.epoch}-{seq}",
            part_id=part.part_id,
            product_id=self._recipe.product_id,
            recipe_id=self._recipe.bundle_sha256,
            verdict=decision.outcome,
            reason=decision.reason,
            score=decision.score,
            threshold=self._threshold if decision.threshold is None else decision.threshold,
            p_value=decision.p_value,
            review=decision.review,
            regions=decision.regions,
            captured_at=None if frame is None else utc(now_ns - frame.captured_ns),
            durations_ms=(durations or Durations()).model_copy(
                update={"publish": self._publish_ms}
            ),
            deadline_ms=part.deadline_ms,
            late=late,
            simulated=self._recipe.simulated,
        )
        payload = verdict.to_json()

        def announce() -> None:
            self._send(self._recipe.topic, payload)
            self._publish_ms = elapsed_ms(found_ns or now_ns, time.monotonic_ns())

        # Kept first, so that no end of this process takes away what somebody has received.
        self._journal.record(seq, self._recipe.topic, payload, part.part_id, announce)
        if frame is not None:
            self._keep_picture(verdict, verdict.reason, frame)
        if verdict.reason is not None:
            self._undecided[verdict.reason].came(f"part {part.part_id}")
        else:
            log.debug("part %s: %s at %.4f", part.part_id, verdict.verdict.value, decision.score)
        return verdict

    def keep_late(self, verdict: Verdict, decision: Decision, frame: Frame) -> None:
        """Publish and store what was found on a part that its deadline had answered already."""
        late = LateResult(
            epoch=verdict.epoch,
            seq=verdict.seq,
            part_id=verdict.part_id,
            found=decision.outcome,
            reason=decision.reason,
            score=decision.score,
            p_value=decision.p_value,
            regions=decision.regions,
        )
        payload = late.to_json()
        self._journal.record_late(verdict.seq, payload)
        self._send(self._recipe.late_topic, payload)
        self._keep_picture(verdict, decision.reason, frame)
        self._late.came(f"part {late.part_id}: {late.found.value}")

    def _keep_picture(self, verdict: Verdict, reason: Reason | None, frame: Frame) -> None:
        faulty = reason is Reason.CAMERA_FAULT
        if self._evidence is not None and not (faulty and self._was_faulty):
            self._evidence.keep(verdict, frame.image)
        self._was_faulty = faulty
