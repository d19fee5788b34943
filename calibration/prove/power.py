"""What a threshold from few normals costs: defects missed beyond what the whole pool would miss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from calibration.threshold import rank

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Power:
    """missed: mean share of defects below the thresholds of the repetitions; missed_by_pool: below
    the threshold that rejects exactly `rate` of the pool.
    """

    n: int
    rate: float
    confidence: float | None
    missed: float
    missed_by_pool: float

    @property
    def more(self) -> float:
        """Relative."""
        return self.missed / self.missed_by_pool - 1 if self.missed_by_pool else float("nan")


def power(
    pool: Scores,
    defects: Scores,
    n: int,
    rate: float,
    confidence: float | None,
    repeats: int,
    random: Generator,
) -> Power:
    """Draw calibrations of n from the pool, and count the defects that each lets pass.

    Args:
        pool, defects: scores, ascending.
        n, rate, confidence: of the calibration.
        repeats: calibrations drawn.
        random: to draw with.
    """
    k = rank(n, rate, confidence)
    thresholds = np.partition(random.choice(pool, (repeats, n)), n - k, axis=1)[:, n - k]
    missed = np.searchsorted(defects, thresholds, side="right") / len(defects)
    ideal = np.quantile(pool, 1 - rate, method="inverted_cdf")
    by_pool = np.searchsorted(defects, ideal, side="right") / len(defects)
    return Power(n, rate, confidence, float(missed.mean()), float(by_pool))
