"""The part is told from its background and from its shadow."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from training.synthesis.foreground import find_foregrounds

SIDE = 128
RADIUS = 20


def lying_discs(
    count: int = 8, radius: int = RADIUS
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Dark discs with a wide soft shadow on a light ground, and where the discs are."""
    rng = np.random.default_rng(0)
    images, discs = [], []
    for _ in range(count):
        x, y = (int(v) for v in rng.integers(45, SIDE - 45, 2))
        disc = cv2.circle(np.zeros((SIDE, SIDE), np.uint8), (x, y), radius, 1, -1)
        shadow = cv2.GaussianBlur(disc.astype(np.float32), (0, 0), 9) * 70
        picture = np.where(disc > 0, rng.normal(80, 12, disc.shape), 200 - shadow)
        picture += rng.normal(0, 1.5, disc.shape)
        images.append(np.repeat(picture.clip(0, 255).astype(np.uint8)[..., None], 3, axis=-1))
        discs.append(disc > 0)
    return np.stack(images), np.stack(discs)


def test_a_shadow_is_not_the_part() -> None:
    """Half of all defects would be drawn where no part is, and the outline never be touched."""
    images, discs = lying_discs()
    found = find_foregrounds(images)
    assert found is not None
    assert found[discs].all()
    wide = np.stack([cv2.dilate(disc.astype(np.uint8), np.ones((13, 13))) > 0 for disc in discs])
    assert not found[~wide].any(), "the shadow reaches twice as far"


def test_the_outline_itself_can_be_hurt() -> None:
    images, discs = lying_discs()
    found = find_foregrounds(images)
    assert found is not None
    beside = np.stack([cv2.dilate(disc.astype(np.uint8), np.ones((3, 3))) > 0 for disc in discs])
    assert found[beside].all()


def test_bright_metal_on_a_light_ground_is_the_part() -> None:
    """Half of a screw's shank shines like the paper under it, and was never hurt in training."""
    images, discs = lying_discs()
    for image, disc in zip(images, discs, strict=True):
        y, x = (int(value.mean()) for value in np.nonzero(disc))
        image[y - 4 : y + 5, x - 4 : x + 5] = 200
    found = find_foregrounds(images)
    assert found is not None and found[discs].all()


def test_a_small_part_is_no_texture() -> None:
    """A fiftieth of the picture: as a texture it would get defects anywhere but on itself."""
    images, discs = lying_discs(radius=10)
    found = find_foregrounds(images)
    assert found is not None and found[discs].all() and found.mean() < 0.08


def test_a_dark_part_is_more_than_its_highlights() -> None:
    """Rubber on black cloth: taken for the part, a highlight is all that was ever hurt."""
    rng = np.random.default_rng(2)
    _, discs = lying_discs(radius=24)
    images = []
    for disc in discs:
        y, x = (int(value.mean()) for value in np.nonzero(disc))
        picture = np.where(disc, rng.normal(55, 6, disc.shape), rng.normal(18, 3, disc.shape))
        picture[y - 6 : y + 6, x - 6 : x + 6] = 240
        images.append(np.repeat(picture.clip(0, 255).astype(np.uint8)[..., None], 3, axis=-1))
    found = find_foregrounds(np.stack(images))
    assert found is not None
    assert found[discs].mean() > 0.98
    wide = np.stack([cv2.dilate(disc.astype(np.uint8), np.ones((13, 13))) > 0 for disc in discs])
    assert not found[~wide].any()


def test_a_ground_may_have_grain_of_its_own() -> None:
    """Cloth under a dark part whose levels are spread: no texture that fills the picture."""
    rng = np.random.default_rng(4)
    _, discs = lying_discs(radius=24)
    pictures = [
        np.where(disc, rng.normal(25, 4, disc.shape), rng.normal(75, 7, disc.shape))
        for disc in discs
    ]
    images = np.stack(pictures).clip(0, 255).astype(np.uint8)
    found = find_foregrounds(np.repeat(images[..., None], 3, axis=-1))
    assert found is not None and found[discs].mean() > 0.98 and found.mean() < 0.25


def test_the_grain_of_a_fine_picture_is_not_the_part() -> None:
    """Cut into tiles, a picture is looked at more closely: its specks are no larger parts."""
    rng = np.random.default_rng(4)
    _, discs = lying_discs(radius=24)
    images, wide = [], []
    for disc in discs:
        large = cv2.resize(disc.astype(np.uint8), (768, 768), interpolation=cv2.INTER_NEAREST) > 0
        picture = np.where(large, rng.normal(25, 4, large.shape), rng.normal(75, 21, large.shape))
        images.append(np.repeat(picture.clip(0, 255).astype(np.uint8)[..., None], 3, axis=-1))
        wide.append(cv2.dilate(large.astype(np.uint8), np.ones((81, 81))) > 0)
    found = find_foregrounds(np.stack(images))
    assert found is not None and found.shape == (8, 768, 768)
    assert not found[~np.stack(wide)].any()


def test_a_ring_has_a_hole() -> None:
    images, discs = lying_discs()
    holes = np.zeros_like(discs)
    for image, hole, disc in zip(images, holes, discs, strict=True):
        y, x = (int(value.mean()) for value in np.nonzero(disc))
        hole[y - 8 : y + 9, x - 8 : x + 9] = True
        image[hole] = 200
    found = find_foregrounds(images)
    middle = np.stack([cv2.erode(h.astype(np.uint8), np.ones((9, 9))) > 0 for h in holes])
    assert found is not None and not found[middle].any()


def test_a_texture_has_no_foreground() -> None:
    noise = np.random.default_rng(1).normal(128, 40, (4, SIDE, SIDE, 1))
    assert find_foregrounds(np.repeat(noise.clip(0, 255).astype(np.uint8), 3, axis=3)) is None
