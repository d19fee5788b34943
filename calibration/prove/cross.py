"""Cross-conformal calibration on few images: what rate does its weaker promise come to?

A model that has to be trained, in place of a network: parts are points in 30 dimensions, the model
learns the mean and deviation of each, and the score is the largest distance from the mean in
deviations. Trained on few parts it scores strangers higher than those it knows, as networks do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from calibration.threshold import rank

DIMENSIONS = 30
FRESH = 4000

Parts = NDArray[np.float64]


@dataclass(frozen=True)
class CrossCoverage:
    """rate: promised; realised: mean over the repetitions; naive: when the model's own training
    parts are taken for calibration, which cross-conformal is there to avoid.
    """

    images: int
    folds: int
    rate: float
    realised: float
    naive: float


def cross_coverage(
    images: int, folds: int, rate: float, repeats: int, random: Generator
) -> CrossCoverage:
    """Train on `images` parts, calibrate by folds, and inspect fresh normal parts."""
    k = rank(images, rate)
    realised, naive = [], []
    for _ in range(repeats):
        parts = random.normal(size=(images, DIMENSIONS))
        held_out = np.arange(images) % folds
        pooled = np.concatenate(
            [_scores(parts[held_out == fold], parts[held_out != fold]) for fold in range(folds)]
        )
        fresh = _scores(random.normal(size=(FRESH, DIMENSIONS)), parts)
        realised.append(np.mean(fresh > np.sort(pooled)[images - k]))
        naive.append(np.mean(fresh > np.sort(_scores(parts, parts))[images - k]))
    return CrossCoverage(images, folds, rate, float(np.mean(realised)), float(np.mean(naive)))


def _scores(parts: Parts, training: Parts) -> Parts:
    scores: Parts = np.abs((parts - training.mean(axis=0)) / training.std(axis=0)).max(axis=1)
    return scores
