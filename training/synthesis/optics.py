"""What a camera makes of a defect: as sharp as its own pictures, and seen or not."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from training.images import some
from training.synthesis.shapes import Field, mean_colour

# Detail is what a blur of these deviations, in pixels, takes away; its strength is judged over
# squares of so many pixels.
DETAIL, NEAR = 4.0, 33
# Deviations, in pixels, that a lens may have; of one picture the sharpness is a guess.
SHARPEST, DULLEST = 0.3, 2.5
GUESS = (0.7, 1.6)
SAMPLE = 64
# Two grey levels of camera noise, where the picture is flat.
FLOOR = 2 / 255
# A region is seen where it differs by so much of the grain, and, over all its pixels, by so many
# deviations of the grain.
LEAST_CONTRAST, LEAST_EVIDENCE = 0.8, 10.0


def lens(tiles: NDArray[np.uint8]) -> float:
    """Deviation in pixels of the blur in pictures uint8 [N, H, W, 3], in their sharper direction.

    White noise behind a Gaussian blur of deviation s has a correlation of exp(-1 / 4 s^2) from one
    pixel to the next; grain that is longer than that in one direction is sharp in the other.
    """
    correlations = []
    for tile in some(tiles, SAMPLE):
        detail = _detail(tile[..., 1].astype(np.float32) / np.float32(255))
        power = float((detail * detail).mean()) + FLOOR**2 / 255
        across = float((detail[:, 1:] * detail[:, :-1]).mean()) / power
        down = float((detail[1:] * detail[:-1]).mean()) / power
        correlations.append((across, down))
    nearest = np.clip(np.median(correlations, axis=0).min(), 1e-6, 1 - 1e-6)
    return float(np.clip(np.sqrt(-0.25 / np.log(nearest)), SHARPEST, DULLEST))


def through_lens(opacity: Field, deviation: float, rng: Generator) -> Field:
    """A drawn outline as blurred as the pictures are, with its former peak.

    Pasted sharper than anything that the camera shows, a defect is known by its edges, and real
    ones are not.
    """
    peak = float(opacity.max())
    blurred = cv2.GaussianBlur(
        opacity, (0, 0), deviation * float(rng.uniform(*GUESS)), borderType=cv2.BORDER_REPLICATE
    )
    gain = min(2.5, peak / max(float(blurred.max()), 1e-3))
    seen: Field = np.clip(blurred * np.float32(gain), 0.0, peak)
    return seen


def grain(image: Field) -> Field:
    """Strength of the fine detail around each pixel of an image [H, W, 3]: float32 [H, W]."""
    detail = _detail(mean_colour(image))
    # Running sums, whose last digits may leave a little less than nothing where all is flat.
    around = cv2.blur(detail * detail, (NEAR, NEAR)).clip(min=0.0)
    strength: Field = np.sqrt(around) + np.float32(FLOOR)
    return strength


def visible(area: NDArray[np.bool_], change: Field, grain: Field) -> NDArray[np.bool_]:
    """Those regions of `area` [h, w] whose mean `change` is seen against the `grain`.

    A few faint specks on a speckled surface are there, but nobody could mark them; marked all the
    same, they teach that anything may be a defect.
    """
    count, labels = cv2.connectedComponents(area.astype(np.uint8))
    pixels = np.bincount(labels.ravel(), minlength=count)
    contrast = np.bincount(labels.ravel(), (change / grain).ravel(), count) / np.maximum(pixels, 1)
    seen = (contrast >= LEAST_CONTRAST) & (contrast * np.sqrt(pixels) >= LEAST_EVIDENCE)
    seen[0] = False
    regions: NDArray[np.bool_] = seen[labels]
    return regions


def _detail(grey: Field) -> Field:
    detail: Field = grey - cv2.GaussianBlur(grey, (0, 0), DETAIL)
    return detail
