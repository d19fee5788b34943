"""Drawn defects look as they are meant to."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from training.synthesis import Synthesizer
from training.synthesis.defects import (
    COLOUR_PAINTERS,
    PAINTERS,
    Painter,
    broken_edge,
    crack,
    scratch,
    spot,
    tinted,
)
from training.synthesis.deformations import OBJECT_PAINTERS
from training.synthesis.parts import Parts

SIDE = 128
MIDDLE = (SIDE // 2, SIDE // 2)


def grain(degrees: float) -> NDArray[np.float32]:
    """Noise that is drawn out in one direction, as a ground surface is: [SIDE, SIDE, 3], 0..1."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((3 * SIDE, 3 * SIDE)).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), sigmaX=0.8, sigmaY=20)
    centre = (1.5 * SIDE, 1.5 * SIDE)
    turned = cv2.warpAffine(noise, cv2.getRotationMatrix2D(centre, degrees, 1.0), noise.shape)
    cut = turned[SIDE : 2 * SIDE, SIDE : 2 * SIDE]
    grey = 0.5 + 0.1 * cut / cut.std()
    return np.repeat(grey[..., None], 3, axis=-1).astype(np.float32)


@pytest.mark.parametrize("degrees", [0.0, 30.0, 90.0])
def test_a_scratch_in_the_grain_keeps_to_it(degrees: float) -> None:
    """The hardest to see: half of all scratches; drawn elsewhere it would teach nothing of it."""
    image, rng = grain(degrees), np.random.default_rng(1)
    turn = np.deg2rad(degrees)
    across = np.array((np.cos(turn), -np.sin(turn)))
    kept = []
    for _ in range(60):
        alpha = scratch(image, MIDDLE, rng).opacity
        y, x = np.nonzero(alpha)
        spread = np.stack((x, y), axis=-1) @ across
        kept.append(np.ptp(spread) < 8)
    assert np.mean(kept) > 0.4
    other = np.array((across[1], -across[0]))
    alpha = scratch(image, MIDDLE, np.random.default_rng(2)).opacity
    assert alpha.max() > 0 and np.ptp(np.argwhere(alpha)[:, ::-1] @ other) > 2


@pytest.mark.parametrize(
    "painter",
    {**PAINTERS, **COLOUR_PAINTERS, **OBJECT_PAINTERS},
    ids=lambda p: p.__name__,
)
def test_every_painter_stays_in_the_picture(painter: Painter) -> None:
    image, rng = grain(0.0), np.random.default_rng(3)
    for at in (MIDDLE, (0, 0), (SIDE - 1, 3)):
        for _ in range(20):
            patch = painter(image, at, rng)
            height, width = image[patch.place].shape[:2]
            assert patch.painted.shape == (height, width, 3)
            assert patch.opacity.shape == (height, width)
            assert patch.painted.dtype == patch.opacity.dtype == np.float32
            assert patch.opacity.min(initial=0) >= 0 and patch.opacity.max(initial=0) <= 1
            assert np.isfinite(patch.painted).all()


def test_an_edge_breaks_where_there_is_one() -> None:
    """A part that ends within the picture loses pieces of its edge; elsewhere there is none."""
    image = np.full((SIDE, SIDE, 3), 0.02, np.float32)
    image[:, 40:90] = 0.6
    rng = np.random.default_rng(4)
    columns = []
    for _ in range(40):
        patch = broken_edge(image, MIDDLE, rng)
        _, x = np.nonzero(patch.opacity > 0.5)
        columns.append(patch.place[1].start + x.mean())
    off_edge = np.minimum(np.abs(np.array(columns) - 40), np.abs(np.array(columns) - 90))
    assert np.median(off_edge) < 12


@pytest.mark.parametrize("painter", [crack, spot, broken_edge], ids=lambda p: p.__name__)
def test_what_is_missing_is_mostly_darker(painter: Painter) -> None:
    image, rng = grain(0.0), np.random.default_rng(5)
    darker = []
    for _ in range(60):
        patch = painter(image, MIDDLE, rng)
        inside = patch.opacity > 0.5
        if inside.any():
            change = patch.painted - image[patch.place]
            darker.append(change[inside].mean() < 0)
    assert 0.6 < np.mean(darker) < 1.0, "and some are brighter"


def test_a_wrong_colour_is_one_and_keeps_the_light() -> None:
    """A green patch on a red part, no darker than the part, is a defect of colour alone."""
    image, rng = grain(0.0), np.random.default_rng(6)
    hues, lights = [], []
    for _ in range(40):
        patch = tinted(image, MIDDLE, rng)
        ratio = (patch.painted / image[patch.place]).mean(axis=(0, 1))
        hues.append(float(ratio.max() / ratio.min()))
        lights.append(float(ratio.mean()))
    assert np.median(hues) > 1.5
    assert min(lights) > 0.6 and max(lights) < 1.3


@pytest.mark.parametrize("grey", [True, False], ids=["grey", "colour"])
def test_only_colour_can_be_wrong(grey: bool) -> None:
    tiles = np.random.default_rng(7).integers(0, 255, (3, 64, 64, 3), np.uint8)
    if grey:
        tiles[..., 1:] = tiles[..., :1]
    synthesizer = Synthesizer(Parts(tiles, None, False), None, np.random.default_rng(0))
    assert (tinted in synthesizer.painters) is not grey
