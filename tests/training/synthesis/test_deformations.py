"""Objects are bent, made up of the wrong pieces and rubbed bare."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from training.synthesis import Synthesizer
from training.synthesis.defects import Painter, displaced
from training.synthesis.deformations import bare, bent, bitten, grafted
from training.synthesis.parts import Parts

SIDE = 128
MIDDLE = (SIDE // 2, SIDE // 2)
LEFT, RIGHT = 50, 78


def bolt() -> NDArray[np.float32]:
    """A dark upright bar with a thread on a light ground: [SIDE, SIDE, 3], 0..1."""
    image = np.full((SIDE, SIDE, 3), 0.8, np.float32)
    thread = 0.3 + 0.08 * np.sin(np.arange(SIDE, dtype=np.float32) * 2 * np.pi / 8)
    image[:, LEFT:RIGHT] = thread[:, None, None]
    return cv2.GaussianBlur(image, (0, 0), 0.7).astype(np.float32)


def test_what_is_bent_keeps_its_tones_and_is_marked_where_it_moved() -> None:
    image, rng = bolt(), np.random.default_rng(0)
    moved = 0
    for _ in range(40):
        patch = bent(image, MIDDLE, rng)
        assert patch.painted.min() >= image.min() - 1e-5
        assert patch.painted.max() <= image.max() + 1e-5
        still = np.abs(patch.painted - image[patch.place]).mean(axis=-1) < 0.005
        deep = cv2.erode(still.astype(np.uint8), np.ones((15, 15), np.uint8)) > 0
        assert not patch.opacity[deep].any(), "what lies still is no defect"
        moved += int(patch.opacity.sum() > 10)
    assert moved > 30


@pytest.mark.parametrize("painter", [bent, bitten], ids=lambda p: p.__name__)
def test_the_outline_moves_both_ways(painter: Painter) -> None:
    """A bolt has lost a piece of its flank, or something sticks out of it."""
    image, rng = bolt(), np.random.default_rng(1)
    lost = grown = 0
    for _ in range(80):
        patch = painter(image, (64, LEFT), rng)
        change = (patch.painted - image[patch.place]).mean(axis=-1) * patch.opacity
        lost += int((change > 0.3).sum() > 5)
        grown += int((change < -0.3).sum() > 5)
    assert lost > 8 and grown > 8


def test_a_graft_keeps_the_light_and_changes_the_detail() -> None:
    image, rng = bolt(), np.random.default_rng(2)
    light, detail = [], []
    for _ in range(60):
        patch = grafted(image, MIDDLE, rng)
        inside = patch.opacity > 0.5
        if not inside.any():
            continue
        change = (patch.painted - image[patch.place]).mean(axis=-1)[inside]
        light.append(abs(change.mean()))
        detail.append(np.abs(change).mean())
    assert len(detail) > 30
    assert np.median(light) < 0.5 * np.median(detail)


def test_bare_metal_shines() -> None:
    image, rng = bolt(), np.random.default_rng(3)
    for _ in range(40):
        patch = bare(image, MIDDLE, rng)
        inside = patch.opacity > 0.5
        assert (patch.painted - image[patch.place])[inside].mean() > 0.02


@pytest.mark.parametrize("is_object", [True, False], ids=["object", "texture"])
def test_only_an_object_has_a_shape_to_lose(is_object: bool) -> None:
    """A texture shifted within itself is as good as it was: marked, it teaches false alarms."""
    tiles = np.random.default_rng(4).integers(0, 255, (3, 64, 64, 3), np.uint8)
    synthesizer = Synthesizer(Parts(tiles, None, is_object), None, np.random.default_rng(0))
    of_shape: set[Painter] = {bent, bitten, grafted, displaced}
    assert len(of_shape & set(synthesizer.painters)) == (4 if is_object else 0)
