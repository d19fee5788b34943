"""Tiles know where a defect could be: on the part, and not where nothing is inspected."""

from __future__ import annotations

import tracemalloc

import cv2
import numpy as np
from numpy.typing import NDArray

from training.alignment import Alignment
from training.synthesis import Synthesizer
from training.synthesis.parts import Parts, cut_parts
from training.view import Tiles, View, ViewSettings

SIZE = (64, 64)
ROW = ViewSettings(tiles=Tiles(columns=3, overlap=8))


def discs(count: int = 6) -> NDArray[np.uint8]:
    """A grey disc right of the middle on a plain dark ground: the left tile shows ground alone."""
    random = np.random.default_rng(0)
    images = np.zeros((count, 64, 176, 3), np.uint8) + np.uint8(20)
    for image in images:
        disc = cv2.circle(np.zeros((64, 176), np.uint8), (120, 32), 28, 1, -1)[..., None]
        image += disc * random.integers(40, 200, image.shape, np.uint8)
        image += random.integers(0, 5, image.shape, np.uint8)
    return images


def grain(count: int, width: int) -> NDArray[np.uint8]:
    noise = np.random.default_rng(1).normal(128, 40, (count, 64, width, 1))
    return np.repeat(noise.clip(0, 255).astype(np.uint8), 3, axis=3)


def test_a_texture_may_be_hurt_anywhere() -> None:
    images, view = grain(4, 176), View(SIZE, ROW)
    parts = cut_parts(images, view)
    np.testing.assert_array_equal(parts.tiles, view.cut(images))
    assert parts.defectable is None and not parts.is_object


def test_a_few_held_out_images_are_what_the_others_show() -> None:
    """By themselves four of them were taken for a texture, and an object's model judged by that."""
    together = cut_parts(discs(), View(SIZE, ROW))
    train, held_out = together.split(4 * 3)
    assert (len(train), len(held_out)) == (12, 6)
    assert held_out.is_object and train.is_object
    assert held_out.is_grey == train.is_grey == together.is_grey
    assert held_out.defectable is not None and together.defectable is not None
    assert np.array_equal(held_out.defectable, together.defectable[12:])
    coloured = Parts(together.tiles, None, True, grey=False).split(12)[1].sample(2, 0)
    assert not coloured.is_grey and coloured.is_object


def test_a_part_that_is_followed_is_an_object_also_where_its_shadow_fills_the_window() -> None:
    """A followed screw was taken for a texture: close around it nothing is plain."""
    images = discs()
    shadow = np.where(np.arange(176) % 60 < 20, 45, 0).astype(np.uint8)[:, None]
    images = np.where(images < 30, images + shadow, images)
    assert not cut_parts(images, View(SIZE, ROW)).is_object
    followed = Alignment(
        background=(20, 20, 20),
        contrast=40,
        area=(0.1, 0.5),
        left=-50,
        top=-20,
        width=100,
        height=40,
        radius=50,
    )
    settings = ROW.model_copy(update={"alignment": followed})
    assert cut_parts(images, View(SIZE, settings)).is_object


def test_the_foreground_is_found_before_the_image_is_cut() -> None:
    parts = cut_parts(discs(), View(SIZE, ROW))
    assert parts.is_object and parts.defectable is not None
    left, middle, right = parts.defectable[:3]
    assert left.all(), "a tile of mere ground is inspected all over"
    assert middle[32, 50] and not middle[5, 5]
    assert right[32, 10] and not right[5, 60]


def test_nothing_is_pasted_where_nothing_is_inspected() -> None:
    ignored = np.zeros((64, 176), np.bool_)
    ignored[:40] = True
    settings = ViewSettings(image_size=(64, 176), tiles=ROW.tiles)
    parts = cut_parts(grain(4, 176), View(SIZE, settings, ignored))
    synthesizer = Synthesizer(parts, None, np.random.default_rng(0))
    assert parts.defectable is not None and not parts.is_object
    rng = np.random.default_rng(2)
    for index in range(len(parts)):
        image, mask = synthesizer.paste(parts.tiles[index], synthesizer.foreground(index), rng)
        assert mask.any() and not mask[:40].any()
        np.testing.assert_array_equal(image[:40], parts.tiles[index][:40])


def test_a_hair_is_marked_three_pixels_wide() -> None:
    """As a person would; at its own width it is too little to learn from."""
    parts = cut_parts(grain(4, 176), View(SIZE, ROW))
    synthesizer = Synthesizer(parts, None, np.random.default_rng(0))
    rng = np.random.default_rng(2)
    for index in range(len(parts)):
        mask = synthesizer.paste(parts.tiles[index], None, rng)[1].astype(np.uint8)
        opened = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
        np.testing.assert_array_equal(opened[2:-2, 2:-2], mask[2:-2, 2:-2])


def test_a_sliver_of_part_ends_in_no_anomaly_rather_than_never() -> None:
    tiles = grain(1, 64)
    where = np.zeros((1, 64, 64), np.bool_)
    synthesizer = Synthesizer(Parts(tiles, where, False), None, np.random.default_rng(0))
    image, mask = synthesizer.paste(tiles[0], where[0], np.random.default_rng(3))
    assert not mask.any()
    np.testing.assert_array_equal(image, tiles[0])


def test_a_sample_keeps_tiles_and_foregrounds_together() -> None:
    parts = cut_parts(discs(), View(SIZE, ROW))
    few = parts.sample(5, seed=3)
    assert len(few) == 5 and few.defectable is not None and parts.defectable is not None
    for tile, where in zip(few.tiles, few.defectable, strict=True):
        (index,) = [i for i, each in enumerate(parts.tiles) if np.array_equal(each, tile)]
        np.testing.assert_array_equal(where, parts.defectable[index])
    assert parts.sample(100, seed=3) is parts


def test_looking_for_the_part_takes_little_memory_beside_the_images() -> None:
    """It took four times as much as they do: what fitted could not be trained on."""
    images = np.full((600, 32, 32, 3), 20, np.uint8)
    for index, image in enumerate(images):
        cv2.circle(image, (16 + index % 3, 16), 8, (150, 150, 150), -1)
    tracemalloc.start()
    parts = cut_parts(images, View((32, 32)))
    assert parts.is_object and parts.is_grey
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * images.nbytes
