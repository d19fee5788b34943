"""Where defects are drawn."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from training.synthesis.synthesizer import EDGE_SHARE, _point

DISC = np.hypot(*np.mgrid[-64:64, -64:64]) < 50


@pytest.mark.parametrize("foreground", [None, DISC], ids=["texture", "object"])
def test_more_than_their_share_fall_near_the_edge(foreground: NDArray[np.bool_] | None) -> None:
    rng = np.random.default_rng(0)
    points = np.array([_point((128, 128, 3), foreground, rng) for _ in range(2000)])
    rows, columns = points.T
    if foreground is None:
        near = np.minimum.reduce([rows, columns, 127 - rows, 127 - columns]) < 20
        share = 1 - (128 - 40) ** 2 / 128**2
    else:
        assert foreground[rows, columns].all()
        away = np.hypot(rows - 64, columns - 64)
        near = away >= 30
        share = 1 - (30 / 50) ** 2
    assert near.mean() == pytest.approx(EDGE_SHARE + (1 - EDGE_SHARE) * share, abs=0.08)


def test_where_nothing_may_be_drawn_any_point_is_given() -> None:
    nowhere = np.zeros((16, 16), np.bool_)
    row, column = _point((16, 16, 3), nowhere, np.random.default_rng(0))
    assert 0 <= row < 16 and 0 <= column < 16
