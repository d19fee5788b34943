"""Where the part is, found from the images of good parts themselves.

A plain background shows itself at the border: there every image has nearly one colour. Where that
is so, the pixels that differ from it are the part; where it is not (a texture that fills the
picture), the whole picture is the part.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from training.images import some
from training.shared import shared_array

BORDER_SHARE = 0.03
# Nine border pixels of ten lie this close to one colour, of the deviation of the whole picture.
# Grain that fills it has 1.6 or more, a part on a ground that has some grain of its own 0.6.
PLAIN = 0.75
# Longer side of the pictures that this is judged on, and shorter side of those that the part is
# looked for in: the finer a picture is, the more of what differs in it is grain.
GROUND_SIDE, FOUND_SIDE = 128, 256
# The part must fill this much of the picture in nearly every image for the split to be believed.
PLAUSIBLE_AREA = (0.01, 0.95)
# Images by which the split is chosen.
SAMPLE = 64
# How far from the background's colour the part begins, tried as shares of Otsu's threshold: the
# part's own dark pixels lie below that threshold, its shadow and halo as well.
CUTS = np.linspace(0.4, 1.3, 10)
# Levels that are added before two are compared by their ratio: below them, a camera shows noise.
DARK = 32
# A hole that is smaller, of the part, counts as the part.
SMALL_HOLE = 0.1
# What sticks out of a part, or is missing at its outline, is a defect as well: of the side.
RIM = 1 / 64


def find_foregrounds(
    images: NDArray[np.uint8], colour: tuple[int, int, int] | None = None
) -> NDArray[np.bool_] | None:
    """Foreground masks bool [N, H, W] of images uint8 [N, H, W, 3]; None where all is the part.

    colour: of the background, BGR, where it is known: close around a part lies its shadow, and
    nothing plain.
    """
    background = background_colour(images) if colour is None else colour
    if background is None:
        return None
    masks = _outlined(images, background)
    area = masks.mean(axis=(1, 2))
    plausible = np.mean((area > PLAUSIBLE_AREA[0]) & (area < PLAUSIBLE_AREA[1]))
    if plausible <= 0.95:
        return None
    reach = 2 * round(RIM * images.shape[1]) + 1
    rim = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    size = images.shape[2], images.shape[1]
    found = shared_array(images.shape[:3], np.bool_)
    for whole, mask in zip(found, masks, strict=True):
        enlarged = cv2.resize(255 * mask.astype(np.uint8), size) >= 128
        whole[:] = cv2.dilate(enlarged.astype(np.uint8), rim) > 0
    return found


def _outlined(images: NDArray[np.uint8], background: tuple[int, int, int]) -> NDArray[np.bool_]:
    """Masks of the part, bool [N, h, w], of images brought down to `FOUND_SIDE`."""
    distance = _apart(images, background)
    cut = outlining_cut(some(distance, SAMPLE))
    masks = np.empty(distance.shape, np.bool_)
    for mask, each in zip(masks, distance, strict=True):
        mask[:] = _solid(each > cut)
    return masks


def _apart(images: NDArray[np.uint8], background: tuple[int, int, int]) -> NDArray[np.uint8]:
    """How far pixels are from the background, 0 to 255, by ratio: [N, h, w], brought down.

    Light is reflected, and shadowed, as a share of itself. By difference, the highlights of a dark
    part stand out from it further than it does from a dark ground, and were taken for the part.
    """
    scale = 255 / np.log((255 + DARK) / DARK)
    levels = (np.log(np.arange(256) + DARK) * scale).astype(np.float32)
    # One by one: as real numbers, thousands of images are more than a machine holds.
    distances = []
    for image in images:
        light = levels[_small(image, FOUND_SIDE, min)]
        distance = np.abs(light - levels[list(background)]).max(axis=-1)
        distances.append(distance.astype(np.uint8))
    return np.stack(distances)


def outlining_cut(distance: NDArray[np.uint8]) -> float:
    """The distance from the background's colour whose outline runs along the sharpest edges.

    A shadow fades: an outline around it crosses pixels that hardly change. [N, H, W] as a sample.
    """
    otsu, _ = cv2.threshold(distance.reshape(-1, 1), 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    steepness = [
        np.hypot(*(cv2.Sobel(d, cv2.CV_32F, *way) for way in ((1, 0), (0, 1)))) for d in distance
    ]

    def sharpness(cut: float) -> float:
        edges = []
        for near, steep in zip(distance, steepness, strict=True):
            mask = _solid(near > cut).astype(np.uint8)
            outline = cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
            edges.append(float(steep[outline].mean()) if outline.any() else 0.0)
        return float(np.mean(edges))

    return max((float(share * otsu) for share in CUTS), key=sharpness)


def background_colour(images: NDArray[np.uint8]) -> tuple[int, int, int] | None:
    """BGR, of images [N, H, W, 3]; None where their borders are not of one colour."""
    images = np.stack([_small(image, GROUND_SIDE, max) for image in some(images, SAMPLE)])
    border = _border_pixels(images)
    colour = np.median(border, axis=0)
    near = np.abs(border - colour).max(axis=-1)
    interior_spread = float(images[:, ::4, ::4].std())
    if float(np.quantile(near, 0.9)) > max(8.0, PLAIN * interior_spread):
        return None
    blue, green, red = (int(level) for level in colour)
    return blue, green, red


def _small(image: NDArray[np.uint8], side: int, of: Callable[[int, int], int]) -> NDArray[np.uint8]:
    """An image, its longer (`of` is max) or shorter side brought down to `side`."""
    height, width = image.shape[:2]
    zoom = min(1.0, side / of(height, width))
    size = max(1, round(width * zoom)), max(1, round(height * zoom))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _border_pixels(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    depth = max(2, round(BORDER_SHARE * min(images.shape[1:3])))
    sides = (images[:, :depth], images[:, -depth:], images[:, :, :depth], images[:, :, -depth:])
    pixels = np.concatenate([side.reshape(-1, side.shape[-1]) for side in sides])
    return pixels.astype(np.float32)


def _solid(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    side = max(3, mask.shape[0] // 40) | 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    closed = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, kernel)
    opened = cv2.morphologyEx(closed, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    return _filled(opened.astype(np.bool_))


def _filled(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Without small holes: where bright metal is as bright as the ground, it is still the part."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats((~mask).astype(np.uint8))
    small = stats[:, cv2.CC_STAT_AREA] < SMALL_HOLE * mask.sum()
    small[0] = False  # label 0 is the mask
    edge = np.concatenate((labels[0], labels[-1], labels[:, 0], labels[:, -1]))
    small[edge] = False
    return mask | small[labels]
