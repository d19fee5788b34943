"""Cross-conformal calibration: for few images, each scored by a model that did not train on it.

With few images, setting some aside for the threshold costs the model its training and the
threshold its reach. Instead the images are split into folds, a model is trained without each, and
every image is scored by the model that has not seen it (Vovk, "Cross-conformal predictors", 2015).
Their bound, twice the rate and more where a fold has few images, is for a station that runs all of
these models; here one model runs, trained on everything, and the limit holds as far as it scores
like the others. So the promise is weaker and says so, and folds whose models disagree are refused.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agent.errors import InputError

PERMUTATIONS = 999
SIGNIFICANCE = 0.002


def check_folds(scores: Sequence[Sequence[float]]) -> None:
    """Refuse folds whose scores differ by more than the draw of images explains.

    A permutation test on the statistic of Kruskal and Wallis (1952).

    Args:
        scores: of each fold.

    Raises:
        InputError: fewer than two folds, an empty one, or models that disagree.
    """
    if len(scores) < 2 or not all(scores):
        raise InputError("--fold: give at least two folds, each with usable images")
    pooled = np.concatenate([np.asarray(fold, float) for fold in scores])
    ranks = np.argsort(np.argsort(pooled, kind="stable"), kind="stable").astype(float)
    borders = np.cumsum([len(fold) for fold in scores])[:-1]

    def statistic(order: np.ndarray) -> float:
        return sum(len(fold) * fold.mean() ** 2 for fold in np.split(order, borders))

    random = np.random.default_rng(0)
    found = statistic(ranks)
    above = sum(statistic(random.permutation(ranks)) >= found for _ in range(PERMUTATIONS))
    chance = (1 + above) / (1 + PERMUTATIONS)
    if chance < SIGNIFICANCE:
        medians = ", ".join(f"{np.median(fold):.3g}" for fold in scores)
        raise InputError(
            f"the models of the folds score differently (medians {medians}; by chance {chance:.2g})"
            ": their scores cannot be pooled; train them alike, or set images aside"
        )
