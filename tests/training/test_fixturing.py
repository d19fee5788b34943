"""A part that moves is followed; where following buys nothing, or cannot be relied on, none is."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.posed import BACKGROUND, SIZE, anywhere, lying
from training.alignment import Aligner, Alignment, Pose
from training.fixturing import choose_alignment


def of_keys() -> Alignment:
    found = choose_alignment(anywhere(24))
    assert found is not None
    return found


def test_a_part_at_any_angle_is_seen_from_one_side() -> None:
    """What a turned part costs is what the network must learn twice: here it need not."""
    images = anywhere(24)
    alignment = choose_alignment(images)
    assert alignment is not None and alignment.polar is not None
    aligner, size = Aligner(alignment), (64, 160)
    windows = np.stack(
        [aligner.window(image, aligner.find(image, "a"), size)[0] for image in images]
    )
    spread = windows.astype(np.float32).std(axis=0)
    assert float(spread.mean()) < 6, "of 255; turned at random they differ by 40"
    whole = np.stack(images).astype(np.float32).std(axis=0)
    assert float(spread.max()) < float(whole.max()) / 1.5


def test_the_window_holds_the_part_and_little_else() -> None:
    alignment = choose_alignment(anywhere(24))
    assert alignment is not None
    assert 125 < alignment.width < 170 and 52 < alignment.height < 90
    assert alignment.width > alignment.height, "it lies on its long side"


def test_leads_thinner_than_what_a_part_is_known_by_are_in_the_window() -> None:
    """They were cut from it in every picture, and one that is missing passed."""
    images, tips = [], []
    for image in anywhere(24):
        pose = Aligner(of_keys()).find(image, "a")
        tips.append(_line(image, pose, (30, 20), (30, 55)))
        images.append(image)
    alignment = choose_alignment(images)
    assert alignment is not None
    aligner, size = Aligner(alignment), (64, 160)
    for image, tip in zip(images, tips, strict=True):
        _, to_image = aligner.window(image, aligner.find(image, "a"), size)
        height, width = _inside(to_image, tip)
        assert 0 < height < 64 and 0 < width < 160


@pytest.mark.parametrize("count", [8, 12, 20, 24])
def test_what_one_part_drags_along_widens_no_window(count: int) -> None:
    images = anywhere(count)
    bare = choose_alignment(images)
    pose = Aligner(of_keys()).find(images[0], "a")
    _line(images[0], pose, (0, -10), (0, -80))
    hairy = choose_alignment(images)
    assert bare is not None and hairy is not None
    assert (hairy.width, hairy.height) == pytest.approx((bare.width, bare.height), abs=4)


def test_a_seam_of_the_belt_under_every_part_is_no_part_of_it() -> None:
    """It goes on to the picture's edge, and the window would."""
    images = anywhere(12)
    bare = choose_alignment(images)
    for image in images:
        pose = Aligner(of_keys()).find(image, "a")
        cv2.line(image, (int(pose.x), 0), (int(pose.x), SIZE[0] - 1), (70, 70, 70), 2)
    seamed = choose_alignment(images)
    assert bare is not None and seamed is not None
    # Where it meets the part, a little of it is as thick as the part.
    assert (seamed.width, seamed.height) == pytest.approx((bare.width, bare.height), abs=8)


def _line(image: NDArray[np.uint8], pose: Pose, *ends: tuple[int, int]) -> NDArray[np.float64]:
    """A thin dark line on a part, in the image; its end there."""
    cos, sin = np.cos(np.radians(pose.angle)), np.sin(np.radians(pose.angle))
    there = np.array(ends) @ np.array([[cos, sin], [-sin, cos]]) + (pose.x, pose.y)
    first, last = there.round().astype(int).tolist()
    cv2.line(image, first, last, (70, 70, 70), 2)
    return np.asarray(there[-1], np.float64)


def _inside(to_image: NDArray[np.float64], point: NDArray[np.float64]) -> tuple[float, float]:
    """Where in the window (y, x) a point (x, y) of the image is shown."""
    x, y = np.linalg.solve(to_image[:, :2], point - to_image[:, 2])
    return float(y), float(x)


def test_a_small_part_that_is_never_turned_is_followed_where_it_lies() -> None:
    random = np.random.default_rng(3)
    images = []
    for _ in range(16):
        image = np.full((*SIZE, 3), BACKGROUND, np.uint8)
        x, y = random.integers(60, 180, 2)
        cv2.circle(image, (int(x) + 40, int(y)), 25, (60, 60, 60), -1)
        images.append(image)
    alignment = choose_alignment(images)
    assert alignment is not None and alignment.polar is None
    assert alignment.width == pytest.approx(alignment.height, abs=3)


def test_a_large_part_that_never_moves_is_left_as_it_is() -> None:
    images = []
    for seed in range(12):
        image = np.full((*SIZE, 3), BACKGROUND, np.float32)
        cv2.ellipse(image, (160, 120), (130, 90), 0, 0, 360, (60, 60, 60), -1)
        cv2.rectangle(image, (80, 100), (120, 140), (120, 120, 120), -1)
        image += np.random.default_rng(seed).normal(0, 2, image.shape)
        images.append(image.clip(0, 255).astype(np.uint8))
    assert choose_alignment(images) is None


def test_a_part_that_is_turned_by_a_few_degrees_is_not_turned_back() -> None:
    """It would cost the station time for nothing: the network is shown as much in training."""
    random = np.random.default_rng(5)
    angles = random.uniform(-6, 6, 16)
    alignment = choose_alignment([lying(150, 118, float(angle)) for angle in angles])
    assert alignment is not None and alignment.polar is None


def test_what_has_no_plain_background_is_not_followed() -> None:
    random = np.random.default_rng(0)
    assert (
        choose_alignment([random.integers(0, 256, (*SIZE, 3), np.uint8) for _ in range(8)]) is None
    )


def test_several_parts_in_a_picture_are_not_followed() -> None:
    """Which of the two would be inspected is chance."""
    pairs = [np.hstack(anywhere(2, seed)) for seed in range(10)]
    assert choose_alignment(pairs) is None


def test_parts_that_the_picture_cuts_off_are_not_followed() -> None:
    random = np.random.default_rng(2)
    images = [lying(float(random.uniform(110, 210)), 30, 90.0, seed) for seed in range(12)]
    assert choose_alignment(images) is None


def test_an_empty_picture_among_many_does_not_hinder() -> None:
    images = [*anywhere(30), lying(-200, -200, 0)]
    assert choose_alignment(images) is not None
