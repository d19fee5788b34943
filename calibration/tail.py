"""An estimate of limits beyond the sample, from extreme-value theory. It promises nothing.

The scores above a high level are fitted with a generalised Pareto distribution by
probability-weighted moments (Hosking and Wallis, 1987). Nobody knows whether the tail goes on as
it begins, so the result is shown as an estimate and never used as a threshold.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log

import numpy as np

TAIL_SHARE = 0.1
LEAST_TAIL = 20


def estimate_limit(scores: Sequence[float], rate: float) -> float | None:
    """The score that a share `rate` of normal parts would exceed, by extrapolation.

    Args:
        scores: ascending.
        rate: in (0, 1), below the share of scores that the fit uses.

    Returns:
        None with too few scores for a fit, or for a rate that needs none.
    """
    n = len(scores)
    m = max(LEAST_TAIL, int(TAIL_SHARE * n))
    if n < 2 * m or rate >= m / n:
        return None
    level = scores[n - m - 1]
    excess = np.asarray(scores[n - m :]) - level
    weights = 1 - (np.arange(1, m + 1) - 0.35) / m
    mean, weighted = float(excess.mean()), float((weights * excess).mean())
    if mean - 2 * weighted <= 0 or weighted <= 0:
        return None
    shape = 2 - mean / (mean - 2 * weighted)
    scale = 2 * mean * weighted / (mean - 2 * weighted)
    often = m / n / rate
    if abs(shape) < 1e-6:
        return level + scale * log(often)
    return float(level + scale / shape * (often**shape - 1))
