"""Scores of folds are pooled only when their models agree."""

from __future__ import annotations

import numpy as np
import pytest

from agent.errors import InputError
from calibration.cross import check_folds


def test_folds_that_score_alike_pass() -> None:
    random = np.random.default_rng(1)
    check_folds([random.normal(size=12).tolist() for _ in range(5)])


def test_a_model_that_scores_otherwise_is_refused() -> None:
    random = np.random.default_rng(2)
    folds = [random.normal(size=12).tolist() for _ in range(4)]
    with pytest.raises(InputError, match="score differently"):
        check_folds([*folds, random.normal(4, 1, 12).tolist()])


@pytest.mark.parametrize("folds", [[[1.0, 2.0]], [[1.0], []]])
def test_less_than_two_folds_are_none(folds: list[list[float]]) -> None:
    with pytest.raises(InputError, match="at least two folds"):
        check_folds(folds)
