"""Where in a camera's picture what the model sees lies."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from agent.alignment import Alignment
from agent.imaging import Roi
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


def test_a_slanted_scratch_is_one_line_and_a_defect_beside_it_hides_it_not() -> None:
    """Sampled it was fifty regions, each as heavy in AUPRO as the blob beside it, or none."""
    mask = np.zeros((80, 120), np.uint8)
    cv2.line(mask, (10, 8), (100, 61), 1, 1)
    cv2.rectangle(mask, (20, 50), (51, 77), 1, -1)
    shown = seen().mask(mask.astype(bool))
    assert cv2.connectedComponents(shown.astype(np.uint8), connectivity=8)[0] - 1 == 2
    assert shown[13:19, 6:12].sum() >= 36, "the blob keeps its area"
    upright = np.zeros((80, 120), np.bool_)
    upright[8:48, 41] = upright[60:76, 80:96] = True
    assert seen().mask(upright)[2:12, 10].all()


def test_an_odd_side_can_be_ignored_to_its_last_pixel() -> None:
    """The last row of the canvas shows the last of the image twice, and was inspected for ever."""
    ignored = np.ones((66, 66), np.bool_)
    ignored[20:40, 20:40] = False
    view = View((16, 16), image_size=(66, 66), ignored=ignored)
    on_canvas = view.ignored_on_canvas
    assert on_canvas is not None and on_canvas[-1].all() and on_canvas[:, -1].all()


def test_a_region_is_ignored_by_what_lies_within_it() -> None:
    ignored = np.zeros((100, 100), np.bool_)
    ignored[:66, :66] = True
    ignored[20:40, 20:40] = False
    view = View(
        (16, 16), Roi(x=0, y=0, width=66, height=66), image_size=(100, 100), ignored=ignored
    )
    on_canvas = view.ignored_on_canvas
    assert on_canvas is not None and on_canvas[-1].all() and on_canvas[:, -1].all()


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
