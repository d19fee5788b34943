"""Thresholds from normal scores alone, with two readings of what they promise.

When the scores of n calibration parts and of a new normal part are exchangeable, the new one is
above the k-th largest of the n

- *expected*: with probability at most k / (n + 1), over the draw of both (split conformal; Bates
  et al., "Testing for outliers with conformal p-values", arXiv 2104.08279, section 2). One
  calibration sample can do worse than the average one.
- *with confidence*: the rate above the k-th largest of one sample is distributed as
  Beta(k, n + 1 - k) (Wilks, 1941), so it is above r with probability P(Binomial(n, r) < k).

Nothing is assumed about how scores are distributed. Where scores tie, fewer parts are above.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, exp, floor, fsum, isfinite, lgamma, log, log1p

from agent.errors import InputError
from calibration.rates import percent

BISECTIONS = 60


@dataclass(frozen=True)
class Threshold:
    """A part is rejected when its score is above `value`, one of the normal scores.

    supported_rate: bound on the expected false-reject rate, or with a confidence on the rate of
    this sample.
    """

    value: float
    supported_rate: float


def samples_needed(rate: float, confidence: float | None = None) -> int:
    """The fewest normal parts that support a false-reject rate: 99 for 1 %, 299 at 95 %."""
    exact = _exact(rate)
    if confidence is None:
        return max(1, ceil(1 / exact) - 1)
    needed = max(1, ceil(log(1 - confidence) / log1p(-rate)) - 1)
    while _largest_rank(needed, rate, confidence) < 1:
        needed += 1
    return needed


def rank(n: int, rate: float, confidence: float | None = None, *, best_effort: bool = False) -> int:
    """Which of n scores, counted from the largest, is the threshold: the largest k that fits.

    Args:
        n: number of calibration scores.
        rate: the false-reject rate asked for, in (0, 1).
        confidence: that the rate of this very sample is kept, in (0, 1); None for on average.
        best_effort: take the largest score when n does not support the rate.

    Raises:
        InputError: n does not support the rate; says how many samples do.
    """
    k = _largest_rank(n, rate, confidence)
    if n >= 1 and (k >= 1 or best_effort):
        return max(k, 1)
    needed = samples_needed(rate, confidence)
    sure = "" if confidence is None else f" with {percent(confidence)} confidence"
    raise InputError(
        f"{n} normal sample{'' if n == 1 else 's'} cannot support a false-reject rate of "
        f"{percent(rate)}{sure}: at least {needed} are needed, {needed - n} more; give more, ask "
        "for a higher rate, or use --best-effort to take the lowest rate that they support"
    )


def supported_rate(n: int, k: int, confidence: float | None = None) -> float:
    """Bound on the false-reject rate above the k-th largest of n scores; both from 1.

    With confidence it is the upper bound of Clopper and Pearson (1934): the rate at which as few
    as k - 1 of n above would have probability 1 - confidence.
    """
    if confidence is None:
        return k / (n + 1)
    low, high = 0.0, 1.0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if _at_most(n, middle, k - 1) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def conformal_threshold(
    scores: Sequence[float],
    rate: float,
    confidence: float | None = None,
    *,
    best_effort: bool = False,
) -> Threshold:
    """The lowest threshold that keeps the false-reject rate at or below `rate`.

    Args:
        scores: of normal parts that the model was not trained on, in any order.
        rate: the false-reject rate asked for, in (0, 1).
        confidence: as for `rank`.
        best_effort: with too few scores, take the largest; `supported_rate` is then above `rate`.

    Raises:
        InputError: too few scores for the rate, or a score that is not finite.
    """
    if not all(map(isfinite, scores)):
        raise InputError("a calibration score is not finite")
    n = len(scores)
    k = rank(n, rate, confidence, best_effort=best_effort)
    return Threshold(sorted(scores)[n - k], supported_rate(n, k, confidence))


def at_least(n: int, rate: float, least: int) -> float:
    """P(Binomial(n, rate) >= least): how likely so many of n parts are above by chance."""
    return max(0.0, 1 - _at_most(n, rate, least - 1))


def chance_above(n: int, k: int, m: int, least: int) -> float:
    """How likely at least so many of m new parts are above the k-th largest of n, all exchangeable.

    The rate above it is not k / (n + 1) but distributed about that, as Beta(k, n + 1 - k), so that
    the count is beta-binomial: all orders of n old and m new scores are equally likely.
    """
    return fsum(
        exp(_log_comb(k - 1 + x, x) + _log_comb(n - k + m - x, m - x) - _log_comb(n + m, m))
        for x in range(least, m + 1)
    )


def _log_comb(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)


def _largest_rank(n: int, rate: float, confidence: float | None) -> int:
    # In binary, 0.29 * 100 is less than 29; the promise is made in decimals and counted in them.
    if confidence is None:
        return floor(_exact(rate) * (n + 1))
    _exact(rate)
    at_most = 0.0
    for k, probability in enumerate(_binomial(n, rate)):
        at_most += probability
        if at_most > 1 - confidence:
            return k
    return n


def _at_most(n: int, rate: float, most: int) -> float:
    """P(Binomial(n, rate) <= most)."""
    return sum(
        probability for _, probability in zip(range(most + 1), _binomial(n, rate), strict=False)
    )


def _binomial(n: int, rate: float) -> Iterator[float]:
    """P(Binomial(n, rate) = j) for j = 0, 1, ..., n."""
    odds, logarithm = log(rate) - log1p(-rate), n * log1p(-rate)
    for j in range(n + 1):
        yield exp(logarithm)
        if j < n:
            logarithm += log(n - j) - log(j + 1) + odds


def _exact(rate: float) -> Fraction:
    if not 0 < rate < 1:
        raise InputError(f"a false-reject rate lies between 0 and 1, not at {rate:.6g}")
    return Fraction(repr(float(rate)))
