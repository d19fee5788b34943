"""Where defects are drawn."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from training.synthesis.synthesizer import EDGE_SHARE, _point

DISC = np.hypot(*np.mgrid[-64:64, -64:64]) < 50


@pytest.mark.parametrize("foreground", [None, DISC], ids=["texture", "object"])
def test_more_than_their_share_fall_near_the_edge(foreground: NDArray[np.bool_] | None) -> None:
    rng = np.random.default_rng(0)
    points = np.array([_point((128, 128, 3), foreground, rng) for _ in range(2000)])
    rows, columns = points.T
    part = np.ones((128, 128), np.bool_) if foreground is None else foreground
    assert part[rows, columns].all()
    # Within 20 pixels: the square of 41 x 41 around a pixel is not wholly part.
    around = sliding_window_view(np.pad(part, 20), (41, 41))
    near = part & ~around.all(axis=(2, 3))
    share = near.sum() / part.sum()
    expected = EDGE_SHARE + (1 - EDGE_SHARE) * share
    assert near[rows, columns].mean() == pytest.approx(expected, abs=0.03)


def test_where_nothing_may_be_drawn_any_point_is_given() -> None:
    nowhere = np.zeros((16, 16), np.bool_)
    row, column = _point((16, 16, 3), nowhere, np.random.default_rng(0))
    assert 0 <= row < 16 and 0 <= column < 16
