"""What a calibration record promises, in plain words."""

from __future__ import annotations

from agent.record import CalibrationRecord
from calibration.rates import percent
from calibration.tail import estimate_limit
from calibration.threshold import rank, samples_needed, supported_rate

CONFIDENCE = 0.95
SURE = "95 % confidence"


def promise(record: CalibrationRecord) -> list[str]:
    """What is promised, of what, and how sure that is; a sentence each."""
    n, rate = record.n, percent(record.supported_false_reject_rate)
    held = "are rejected" if record.review is None else "are rejected outright"
    parts = "of normal parts like these that can be judged"
    if record.method == "cross":
        lines = [
            f"Weaker promise (cross-conformal): {parts}, about {rate} {held}, if a model trained "
            "on a few images fewer scores like this one. No bound is proven for one model from "
            "the scores of others."
        ]
    elif record.confidence is None:
        lines = [
            f"Expected: {parts}, on average at most {rate} {held}. The average is over "
            "calibrations; this one can do better or worse."
        ]
    else:
        lines = [f"With {percent(record.confidence)} confidence: {parts}, at most {rate} {held}."]
    if record.review is not None:
        band = sum(record.threshold < s <= record.review.reject_above for s in record.scores)
        bound = "about" if record.method == "cross" else "at most"
        sure = None if record.method == "cross" else record.confidence
        alone = "" if sure is None else f" ({percent(sure)} confidence for either by itself)"
        lines.append(
            f"Together with those held for review, {bound} {percent(record.review.stopped_rate)} "
            f"do not pass{alone}; {percent(band / n) if band else 'none'} of these {n} lie in the "
            "review band."
        )
    if record.refused:
        lines.append(
            "What cannot be judged is stopped as well. Left out here, beside these "
            f"{n}: {len(record.refused)} (of a row of pictures one counts)."
        )
    if record.supported_false_reject_rate > record.requested_false_reject_rate:
        lines.append(
            f"This is ABOVE the {percent(record.requested_false_reject_rate)} asked for: {n} "
            "samples support no less."
        )
    if record.golden_scores and (most := max(record.golden_scores)) <= record.threshold:
        lines.append(
            "CAUTION: this limit is above all that the engine says of the bundle's own frames, "
            f"drawn defects among them ({most:.4g} at most): hardly a defect would be rejected. "
            "See that these are pictures of what the model was trained for, in its light and size."
        )
    return lines


def reach(record: CalibrationRecord) -> list[str]:
    """What the number of samples supports, and what a stricter rate would need."""
    n, asked = record.n, record.requested_false_reject_rate
    k = _rank(record)
    lines = [
        f"The other reading: {_reading(n, k, record.confidence)}",
        f"The lowest rate that {n} samples support is {percent(supported_rate(n, 1))} on average, "
        f"{percent(supported_rate(n, 1, CONFIDENCE))} with {SURE}.",
    ]
    for rate in (asked, asked / 2, asked / 10):
        more = [samples_needed(rate, sure) - n for sure in (None, CONFIDENCE)]
        if any(each > 0 for each in more):
            average, sure = (f"{each} more samples" if each > 0 else "no more" for each in more)
            lines.append(f"{percent(rate)} needs {average} on average, {sure} with {SURE}.")
    return lines


def estimate(record: CalibrationRecord) -> str | None:
    """What an extreme-value fit says of rates that the samples do not support."""
    asked = record.requested_false_reject_rate
    rate = asked if record.supported_false_reject_rate > asked else asked / 10
    limit = estimate_limit(record.scores, rate)
    if limit is None:
        return None
    return (
        f"Estimate WITHOUT guarantee, not used: by an extreme-value fit, {percent(rate)} of normal "
        f"parts would score above {limit:.4g}."
    )


def describe(record: CalibrationRecord) -> str:
    """All of it, for a terminal."""
    k, n = _rank(record), record.n
    which = "the largest" if k == 1 else f"number {k} from the top"
    outright = record.threshold if record.review is None else record.review.reject_above
    lines = [
        f"threshold {outright:.6g}: {which} of {n} normal scores "
        f"(from {record.scores[0]:.6g} to {record.scores[-1]:.6g})"
    ]
    if record.review is not None:
        lines.append(f"review from {record.threshold:.6g} to {outright:.6g}: REJECT, review: true")
    lines += promise(record) + reach(record)
    if (text := estimate(record)) is not None:
        lines.append(text)
    lines.append(f"valid for {record.engine} and bundle {record.bundle_sha256[:12]} only")
    return "\n".join(lines)


def _rank(record: CalibrationRecord) -> int:
    return rank(record.n, record.requested_false_reject_rate, record.confidence, best_effort=True)


def _reading(n: int, k: int, confidence: float | None) -> str:
    if confidence is None:
        sure = supported_rate(n, k, CONFIDENCE)
        return f"with {SURE} at most {percent(sure)} of normal parts are above it."
    return f"on average at most {percent(supported_rate(n, k))} of normal parts are above it."
