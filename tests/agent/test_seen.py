"""Where in a camera's picture what the model sees lies."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from agent.alignment import Alignment
from agent.seen import Seen
from agent.view import View
from tests.posed import alignment, lying


def seen(scale: float = 4.0, shift: float = 0.0) -> Seen:
    canvas = np.zeros((20, 30, 3), np.uint8)
    return Seen(canvas, np.array([[scale, 0, shift], [0, scale, 0]]))


def test_a_mask_keeps_its_area_on_the_canvas() -> None:
    mask = np.zeros((80, 120), np.bool_)
    mask[8:48, 20:84] = True
    shown = seen().mask(mask)
    assert shown.sum() * 16 == mask.sum() and shown[2:12, 5:21].all()


@pytest.mark.parametrize("column", range(40, 44))
def test_a_scratch_thinner_than_a_pixel_of_the_model_is_on_the_canvas(column: int) -> None:
    """It was there or not by its column, and finding it counted as a false alarm."""
    mask = np.zeros((80, 120), np.bool_)
    mask[8:48, column] = True
    shown = seen().mask(mask)
    assert shown.sum() == 10 and shown[2:12, 10].all()


def test_of_a_mask_beside_what_is_seen_nothing_is_shown() -> None:
    mask = np.zeros((80, 140), np.bool_)
    mask[8:48, 130] = mask[79, 3] = True
    assert not seen(shift=8.0).mask(mask).any()


def test_where_the_part_is_followed_a_thin_scratch_is_shown_where_the_window_shows_it() -> None:
    image = lying(150, 118, 33)
    view = View((17, 40), alignment=Alignment(**alignment()))
    at: NDArray[np.float64] = view.seen(image).to_image @ (20.3, 8.2, 1)
    mask = np.zeros(image.shape[:2], np.bool_)
    mask[int(at[1]), int(at[0])] = True
    shown = view.seen(image).mask(mask)
    assert np.argwhere(shown).tolist() == [[8, 20]]
