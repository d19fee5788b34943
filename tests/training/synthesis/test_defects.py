"""Drawn defects look as they are meant to."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from training.synthesis.defects import PAINTERS, scratch

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
        _, alpha = scratch(image, MIDDLE, rng)
        y, x = np.nonzero(alpha)
        spread = np.stack((x, y), axis=-1) @ across
        kept.append(np.ptp(spread) < 8)
    assert np.mean(kept) > 0.4
    other = np.array((across[1], -across[0]))
    _, alpha = scratch(image, MIDDLE, np.random.default_rng(2))
    assert alpha.max() > 0 and np.ptp(np.argwhere(alpha)[:, ::-1] @ other) > 2


@pytest.mark.parametrize("name", PAINTERS)
def test_every_painter_stays_in_the_picture(name: str) -> None:
    image, rng = grain(0.0), np.random.default_rng(3)
    for at in (MIDDLE, (0, 0), (SIDE - 1, 3)):
        painted, alpha = PAINTERS[name](image, at, rng)
        assert painted.shape == image.shape and alpha.shape == image.shape[:2]
        assert alpha.dtype == np.float32 and alpha.min() >= 0 and alpha.max() <= 1
        assert np.isfinite(painted).all()
