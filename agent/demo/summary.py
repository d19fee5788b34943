"""What a demo run showed: verdicts against the truth and the promise, and latency."""

from __future__ import annotations

from collections import Counter
from math import exp, lgamma

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from agent.camera import product
from agent.demo.kit import DEFECT_RATE, SEED
from agent.record import CalibrationRecord
from agent.verdict import Outcome, Verdict

# Fewer than one sound line in a hundred would look this bad.
IMPLAUSIBLE = 0.01


class Latency(BaseModel):
    """Milliseconds from a frame's capture until its verdict was sent."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    p50: float
    p99: float


class Promise(BaseModel):
    """Good parts that were rejected, against what the calibration promised."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    promised_rate: float = Field(description="bound on the expected false-reject rate")
    good_parts: int = Field(description="good parts with a decision")
    rejected: int
    realised_rate: float | None = Field(description="None without good parts")
    chance: float = Field(
        description="of so many or more rejected, were the calibration parts of the same line"
    )
    consistent: bool


class Summary(BaseModel):
    """The demo's result."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    parts_expected: int
    parts_received: int
    gaps: int = Field(description="verdicts published that never arrived")
    skipped: int = Field(description="parts that went by while the line was busy")
    confusion: dict[str, dict[str, int]] = Field(description="verdicts by true kind")
    false_rejects: Promise
    latency_ms: Latency | None = Field(description="None without verdicts")

    @property
    def complete(self) -> bool:
        """Whether every part's verdict arrived."""
        return self.parts_received == self.parts_expected and self.gaps == 0


class Tally:
    """Collects verdicts while they come."""

    def __init__(self, parts: int, record: CalibrationRecord) -> None:
        """parts: how many should come; record: the calibration that the line runs on."""
        self._parts = parts
        self._record = record
        self._verdicts: dict[str, Verdict] = {}
        self.gaps = 0
        self.skipped = 0

    def add(self, verdict: Verdict) -> bool:
        """Count a verdict; False for one on a part after the last that should come."""
        wanted = int(verdict.part_id) < self._parts
        if wanted:
            self._verdicts[verdict.part_id] = verdict
        return wanted

    @property
    def done(self) -> bool:
        """Whether every part has its verdict."""
        return len(self._verdicts) == self._parts

    def summary(self) -> Summary:
        """What the verdicts so far amount to."""
        counts = Counter((true_kind(v), v.verdict) for v in self._verdicts.values())
        confusion = {
            kind: {outcome.value: counts[kind, outcome] for outcome in Outcome}
            for kind in (product.GOOD, *product.DEFECTS)
        }
        latencies = [latency_ms(verdict) for verdict in self._verdicts.values()]
        good = confusion[product.GOOD]
        return Summary(
            parts_expected=self._parts,
            parts_received=len(self._verdicts),
            gaps=self.gaps,
            skipped=self.skipped,
            confusion=confusion,
            false_rejects=compare(self._record, good["PASS"] + good["REJECT"], good["REJECT"]),
            latency_ms=Latency(
                p50=float(np.percentile(latencies, 50)), p99=float(np.percentile(latencies, 99))
            )
            if latencies
            else None,
        )


def true_kind(verdict: Verdict) -> str:
    """What the part truly was; in the demo a part's id is its index."""
    return product.truth_of(SEED, int(verdict.part_id), DEFECT_RATE)


def latency_ms(verdict: Verdict) -> float:
    """From the frame's capture to the sending of the verdict."""
    durations = verdict.durations_ms
    stages = (durations.queue, durations.inference, durations.decide, durations.publish)
    return sum(stage for stage in stages if stage is not None)


def compare(record: CalibrationRecord, good_parts: int, rejected: int) -> Promise:
    """Hold the false rejects of a run against what its calibration promised.

    With the k-th largest of n exchangeable normal scores as threshold, the rate at which a normal
    part exceeds it is itself Beta(k, n + 1 - k) over calibrations (Bates et al., arXiv
    2104.08279), so the count among `good_parts` is beta-binomial.
    """
    k = sum(score >= record.threshold for score in record.scores)
    chance = _beta_binomial_tail(rejected, good_parts, max(k, 1), record.n + 1 - max(k, 1))
    return Promise(
        promised_rate=record.supported_false_reject_rate,
        good_parts=good_parts,
        rejected=rejected,
        realised_rate=rejected / good_parts if good_parts else None,
        chance=chance,
        consistent=chance >= IMPLAUSIBLE,
    )


def _beta_binomial_tail(least: int, n: int, a: float, b: float) -> float:
    """P(X >= least) for X ~ BetaBinomial(n, a, b)."""

    def log_beta(p: float, q: float) -> float:
        return lgamma(p) + lgamma(q) - lgamma(p + q)

    below = sum(
        exp(
            lgamma(n + 1) - lgamma(x + 1) - lgamma(n - x + 1)
            + log_beta(x + a, n - x + b) - log_beta(a, b)
        )
        for x in range(least)
    )  # fmt: skip
    return min(1.0, max(0.0, 1 - below))
