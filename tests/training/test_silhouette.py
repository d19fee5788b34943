"""The part is told from its background, near the picture's edge as in its middle."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

import agent.silhouette
import training.silhouette
from tests.posed import BACKGROUND, SIZE, lying

both = pytest.mark.parametrize("stage", [agent.silhouette, training.silhouette])
COLOUR, CONTRAST = (BACKGROUND,) * 3, 40


@both
def test_beyond_the_picture_there_is_background_and_not_what_the_memory_held(
    stage: ModuleType,
) -> None:
    """One picture gave angles that lay 90 degrees apart, by what the process had done before."""
    near = lying(150, 40, 0)
    around = ((80, 80), (80, 80), (0, 0))
    parts = [
        stage.find_part(picture, COLOUR, CONTRAST)
        for picture in (near, np.pad(near, around, constant_values=BACKGROUND))
    ]
    polars = []
    for part in parts:
        freed = [np.full((stage.ANGLES, stage.RADII), 255, np.uint8) for _ in range(8)]
        del freed
        polars.append(part.polar(75).astype(int))
    np.testing.assert_allclose(polars[0], polars[1], atol=1)  # rounded to levels, at other places


@both
@pytest.mark.parametrize("gap", [1, 2, 3])
@pytest.mark.parametrize("turns", range(4))
def test_a_part_close_to_the_edge_is_whole_and_where_it_is(
    stage: ModuleType, gap: int, turns: int
) -> None:
    image = np.full((*SIZE, 3), BACKGROUND, np.uint8)
    image[100:141, gap : gap + 61] = 70
    part = stage.find_part(np.rot90(image, turns), COLOUR, CONTRAST)
    x, y = gap + 30.5, 120.5
    places = (x, y), (y, SIZE[1] - x), (SIZE[1] - x, SIZE[0] - y), (SIZE[0] - y, x)
    assert not part.cut_off
    assert (part.x, part.y) == pytest.approx(places[turns], abs=0.01)
