"""Pictures among the normals that may not show normal parts: a look, never a decision.

One defect among the normals lifts the threshold and lets others like it pass. The largest scores
are therefore compared with what the rest would lead one to expect, one after the other and each
without those above it, so that a second one does not hide the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from calibration.evidence import Promise
from calibration.normals import Normal
from calibration.tail import LEAST_TAIL, TAIL_SHARE
from calibration.threshold import conformal_threshold

LOOKED_AT = 5
# By a slip a defect or two get among the normals: without so many parts the limit is free of them.
LARGEST = 3
SIGNIFICANCE = 0.01
KNOWN_BEFORE = "(of the calibration before)"


@dataclass(frozen=True)
class LeftOut:
    """One of the largest scores, and what would be without it.

    threshold: if this part were left out; chance: that the gap below it, or below one that is
    not larger, is so wide by chance.
    """

    name: str
    score: float
    threshold: float
    chance: float

    @property
    def suspect(self) -> bool:
        """Whether a person should look at the part; of one known before there is no picture."""
        return self.chance < SIGNIFICANCE and self.name != KNOWN_BEFORE


def leave_one_out(
    parts: Sequence[Normal], promise: Promise, scores: Sequence[float] | None = None
) -> list[LeftOut]:
    """Look at the largest scores, the largest first.

    Args:
        parts: those that there are pictures of.
        promise: what is asked of the threshold.
        scores: of all parts that the threshold rests on, where those are more.
    """
    names: dict[float, list[str]] = {}
    for part in parts:
        names.setdefault(part.score, []).append(part.name)
    ordered = sorted(scores or [part.score for part in parts], reverse=True)
    chances = gap_chances(ordered)
    found = []
    for index in range(len(chances)):
        rest = ordered[:index] + ordered[index + 1 :]
        without = conformal_threshold(
            rest, promise.stopped_rate, promise.confidence, best_effort=True
        )
        chance = min(1.0, LOOKED_AT * min(chances[index:]))
        alike = names.get(ordered[index])
        name = alike.pop(0) if alike else KNOWN_BEFORE
        found.append(LeftOut(name, ordered[index], without.value, chance))
    return found


def limit_without_largest(scores: Sequence[float], promise: Promise) -> float:
    """What the limit would be if the LARGEST parts were left out; scores: ascending."""
    rest = scores[:-LARGEST] or scores[:1]
    return conformal_threshold(
        rest, promise.stopped_rate, promise.confidence, best_effort=True
    ).value


def gap_chances(scores: Sequence[float]) -> list[float]:
    """For each of the largest scores, how likely the gap below it is as wide as it is.

    In an exponential tail the gaps below the j-th largest score, times j, are independent and
    exponential (Renyi, 1953), so one of them over the sum of those below it has a known tail.

    Args:
        scores: descending.
    """
    size = min(max(LEAST_TAIL, int(TAIL_SHARE * len(scores))), len(scores) - 1)
    gaps = [(j + 1) * (scores[j] - scores[j + 1]) for j in range(size)]
    chances = []
    for j in range(min(LOOKED_AT, size - 1)):
        below = sum(gaps[j + 1 :])
        ratio = gaps[j] / below if below > 0 else float(gaps[j] > 0) * 1e9
        chances.append(float((1 + ratio) ** -(size - j - 1)))
    return chances
