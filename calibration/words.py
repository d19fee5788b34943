"""What a calibration record promises, in plain words."""

from __future__ import annotations

from collections.abc import Sequence

from agent.record import CalibrationRecord
from calibration.defects import Detection
from calibration.evidence import Promise
from calibration.normals import Normal
from calibration.rates import at_most, percent
from calibration.suspects import LARGEST, leave_one_out
from calibration.tail import estimate_limit
from calibration.threshold import rank, samples_needed, supported_rate

CONFIDENCE = 0.95
SURE = "95 % confidence"
# Of the largest drawn defects: hardly one is found; where so few are, and without the parts of the
# largest scores so many would be, these are to blame. Limits of textures on which drawn defects
# are hard to see find a quarter, and without these parts a half.
HARDLY, FEW, MANY = 0.1, 0.5, 0.75


def promise(record: CalibrationRecord) -> list[str]:
    """What is promised, of what, and how sure that is; a sentence each."""
    n, rate = record.n, at_most(record.supported_false_reject_rate)
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
            f"Together with those held for review, {bound} {at_most(record.review.stopped_rate)} "
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
        f"The lowest rate that {n} samples support is {at_most(supported_rate(n, 1))} on average, "
        f"{at_most(supported_rate(n, 1, CONFIDENCE))} with {SURE}.",
    ]
    for rate in (asked, asked / 2, asked / 10):
        more = [samples_needed(rate, sure) - n for sure in (None, CONFIDENCE)]
        if any(each > 0 for each in more):
            average, sure = (f"{each} more samples" if each > 0 else "no more" for each in more)
            lines.append(f"{percent(rate)} needs {average} on average, {sure} with {SURE}.")
    return lines


def set_by(parts: Sequence[Normal], record: CalibrationRecord) -> str | None:
    """Which parts the limit is owed to; None where it is none of these, but some known before.

    Args:
        parts: those that there are pictures of.
        record: made of them, or of them and others.
    """
    limit = record.threshold
    ranking = sorted(parts, key=lambda part: -part.score)
    named = [part for part in ranking[:LARGEST] if part.score in record.scores[-LARGEST:]]
    named += [part for part in ranking[LARGEST:] if part.score == limit][:1]
    if not named:
        return None
    names = ", ".join(
        f"{part.name} ({part.score:.4g}{', the limit' if part.score == limit else ''})"
        for part in named
    )
    return (
        f"The limit of {limit:.4g} is set by the largest scores: {names}. See that these are good "
        "parts: a defect among them lifts the limit, and others like it pass."
    )


def look_at(
    parts: Sequence[Normal], promise: Promise, record: CalibrationRecord, *, shown: bool
) -> list[str]:
    """Which parts a person should look at, and why, for a terminal.

    Args:
        parts, record: as for `set_by`.
        promise: what was asked of the record.
        shown: there is a report, with their pictures.
    """
    lines = []
    if (text := set_by(parts, record)) is not None:
        lines.append(text if shown else f"{text} --report FILE.html shows them.")
    lines += [
        f"look at {part.name}: at {part.score:.4g} it stands apart from the other scores; "
        f"without it the limit would be {part.threshold:.4g}. If it is a defect, name it in a "
        "file for --exclude"
        for part in leave_one_out(parts, promise, record.scores)
        if part.suspect
    ]
    return lines


def caution(detection: Sequence[Detection]) -> str | None:
    """A word on a limit that finds few of the largest drawn defects; None where it does not."""
    largest = [row for row in detection if row.size_px == max(row.size_px for row in detection)]
    tried, found, otherwise = (
        sum(getattr(row, name) for row in largest) for name in ("tried", "found", "found_otherwise")
    )
    blamed = found < FEW * tried and otherwise >= MANY * tried
    if not (found < HARDLY * tried or blamed):
        return None
    return (
        f"CAUTION: of the {tried} largest drawn defects this limit finds {found}, and {otherwise} "
        f"where the {LARGEST} parts of the largest scores are left out. See that these are good "
        "parts (what is a defect goes into a file for --exclude), and that all pictures are of "
        "what the model was trained for, in its light and size."
    )


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
        return f"with {SURE} at most {at_most(sure)} of normal parts are above it."
    return f"on average at most {at_most(supported_rate(n, k))} of normal parts are above it."
