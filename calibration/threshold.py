"""Thresholds from normal scores alone, by split conformal prediction.

Bates et al., "Testing for outliers with conformal p-values", arXiv 2104.08279: when the scores of
n calibration parts and of a new normal part are exchangeable, the new one is above the k-th
largest of the n with probability at most k / (n + 1). Nothing is assumed about how scores are
distributed. The probability is over the draw of both: one calibration sample can do worse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor, isfinite

from agent.errors import InputError


@dataclass(frozen=True)
class Threshold:
    """A part is rejected when its score is above `value`, the k-th largest of n normal scores.

    supported_rate: k / (n + 1), the bound on the expected false-reject rate.
    """

    value: float
    k: int
    n: int
    supported_rate: float


def samples_needed(rate: float) -> int:
    """The fewest normal parts that support a false-reject rate: 99 for 1 %, 999 for 0.1 %."""
    return max(1, ceil(1 / _exact(rate)) - 1)


def rank(n: int, rate: float, *, best_effort: bool = False) -> int:
    """Which of n scores, counted from the largest, is the threshold: the largest k that fits.

    Args:
        n: number of calibration scores.
        rate: the false-reject rate asked for, in (0, 1).
        best_effort: take the largest score when n does not support the rate.

    Raises:
        InputError: n does not support the rate; says how many samples do.
    """
    # In binary, 0.29 * 100 is less than 29; the promise is made in decimals and counted in them.
    k = floor(_exact(rate) * (n + 1))
    if n >= 1 and (k >= 1 or best_effort):
        return max(k, 1)
    raise InputError(
        f"{n} normal samples do not support a false-reject rate of {rate:.6g}: "
        f"at least {samples_needed(rate)} are needed; give more, ask for a higher rate, "
        "or use --best-effort to take the lowest rate that they support"
    )


def conformal_threshold(
    scores: Sequence[float], rate: float, *, best_effort: bool = False
) -> Threshold:
    """The lowest threshold that keeps the expected false-reject rate at or below `rate`.

    Ties cost nothing but power: a part is rejected only above the threshold, so equal scores can
    only lower the rate.

    Args:
        scores: of normal parts that the model was not trained on, in any order.
        rate: the false-reject rate asked for, in (0, 1).
        best_effort: with too few scores, take the largest; `supported_rate` is then above `rate`.

    Raises:
        InputError: too few scores for the rate, or a score that is not finite.
    """
    if not all(map(isfinite, scores)):
        raise InputError("a calibration score is not finite")
    n = len(scores)
    k = rank(n, rate, best_effort=best_effort)
    return Threshold(sorted(scores)[n - k], k, n, k / (n + 1))


def largest_score_bound(n: int, confidence: float = 0.95) -> float:
    """Upper confidence bound on the false-reject rate when the threshold is the largest of n.

    The true rate is then distributed as Beta(1, n) (Clopper and Pearson, 1934, for no reject in n
    trials): 1 - (1 - confidence)^(1/n).
    """
    return float(1 - (1 - confidence) ** (1 / n))


def _exact(rate: float) -> Fraction:
    if not 0 < rate < 1:
        raise InputError(f"a false-reject rate lies between 0 and 1, not at {rate:.6g}")
    return Fraction(repr(float(rate)))
