"""A folder of good images is quantised with, and judged by, as a run's own frames are."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from deploy.frames import frames_from
from tests.deploy.plates import SIDE, plate
from training.errors import InputError
from training.view import View


def test_half_of_the_frames_show_an_anomaly(tmp_path: Path) -> None:
    """Of good frames alone, no range reached as far as a defect does, and no verdict was a REJECT.

    A checkpoint of the official code has no frames of its own.
    """
    rng = np.random.default_rng(0)
    for index in range(20):
        cv2.imwrite(str(tmp_path / f"{index:02}.png"), plate(rng))
    frames, anomalous = frames_from(tmp_path, View((SIDE, SIDE)))
    assert frames.shape == (40, SIDE, SIDE, 3) and frames.dtype == np.uint8
    assert not anomalous[:20].any() and anomalous[20:].mean() > 0.9
    for good, frame, shows in zip(frames[:20], frames[20:], anomalous[20:], strict=True):
        assert (good != frame).any() == shows
    again, _ = frames_from(tmp_path, View((SIDE, SIDE)))
    np.testing.assert_array_equal(again, frames)


def test_a_model_of_grey_parts_takes_no_frames_in_colour(tmp_path: Path) -> None:
    """The station shows it none; quantised by them, its ranges are of another picture."""
    rng = np.random.default_rng(0)
    for index in range(8):
        picture = plate(rng)
        picture[..., 2] //= 1 + (index == 5)
        cv2.imwrite(str(tmp_path / f"{index:02}.png"), picture)
    with pytest.raises(InputError, match="05.png is in colour, the training images were grey"):
        frames_from(tmp_path, View((SIDE, SIDE)), grey=True)
    assert frames_from(tmp_path, View((SIDE, SIDE)))[0].any()
