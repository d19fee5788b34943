"""What is pasted is as sharp as the pictures are, and is there to be seen."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from training.synthesis.optics import FLOOR, grain, lens, through_lens, visible

SIDE = 96


def pictures(deviation: float, down: float | None = None) -> NDArray[np.uint8]:
    """White noise behind a lens of that deviation in pixels: uint8 [8, SIDE, SIDE, 3]."""
    rng = np.random.default_rng(0)
    seen = []
    for _ in range(8):
        noise = rng.standard_normal((SIDE, SIDE)).astype(np.float32)
        blurred = cv2.GaussianBlur(noise, (0, 0), deviation, sigmaY=down or deviation)
        seen.append(128 + 30 * blurred / blurred.std())
    grey = np.clip(np.stack(seen), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)


@pytest.mark.parametrize("deviation", [0.5, 0.8, 1.3])
def test_a_lens_is_known_by_the_grain_of_its_pictures(deviation: float) -> None:
    assert lens(pictures(deviation)) == pytest.approx(deviation, rel=0.2)


def test_grain_drawn_out_in_one_direction_is_no_blur() -> None:
    """Ground steel has long grain down the picture, and is sharp across."""
    assert 0.4 < lens(pictures(0.6, down=8.0)) < 0.7


def test_flat_pictures_have_a_lens_too() -> None:
    assert 0.3 <= lens(np.full((4, SIDE, SIDE, 3), 90, np.uint8)) <= 2.5


def test_a_lens_softens_an_outline_and_keeps_its_peak() -> None:
    outline = np.zeros((32, 32), np.float32)
    outline[10:22, 10:22] = 0.8
    seen = through_lens(outline, 1.5, np.random.default_rng(1))
    assert seen.max() == pytest.approx(0.8, abs=0.01)
    assert np.abs(np.diff(seen, axis=1)).max() < 0.5 < np.abs(np.diff(outline, axis=1)).max()


def test_the_same_spot_is_seen_on_a_plain_surface_and_not_on_a_speckled_one() -> None:
    area = np.zeros((SIDE, SIDE), np.bool_)
    area[40:46, 40:46] = True
    change = np.where(area, np.float32(0.06), np.float32(0))
    rng = np.random.default_rng(2)
    for deviation, seen in ((0.01, True), (0.2, False)):
        noise = rng.normal(0.5, deviation, (SIDE, SIDE, 1)).astype(np.float32)
        surface = grain(np.repeat(noise, 3, axis=-1))
        assert visible(area, change, surface).any() == seen


def test_each_region_is_seen_for_itself() -> None:
    surface = grain(np.random.default_rng(3).normal(0.5, 0.02, (SIDE, SIDE, 3)).astype(np.float32))
    area = np.zeros((SIDE, SIDE), np.bool_)
    area[20:30, 20:30] = area[60:62, 60:62] = True
    change = np.where(area, np.float32(0.06), np.float32(0))
    seen = visible(area, change, surface)
    assert seen[20:30, 20:30].all() and not seen[60:62, 60:62].any()


def test_a_flat_dark_ground_has_grain_too() -> None:
    """Sums that run over a highlight and back to black end below nothing, whose root is no number:
    every defect there was taken for invisible."""
    image = np.zeros((128, 128, 3), np.float32)
    image[40:60, 40:60] = np.random.default_rng(0).random((20, 20, 1), np.float32)
    assert (grain(image) >= FLOOR).all()
