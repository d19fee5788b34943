"""Choosing an alignment from the images of good parts: is there one part, and does it move?"""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from training.alignment import Alignment, encode_polar, turned
from training.images import covered
from training.silhouette import ANGLES, THIN, Silhouette, find_part, shrink, spectrum, turn
from training.synthesis.foreground import background_colour, outlining_cut

# In nearly every image the part is whole, in one piece, and as large as in the others.
USUAL = 0.95
ONE_PIECE = 0.8
ALIKE = 1.5
LEAST_AREA = 0.002
# A window this large, of the picture, is not worth following a part for that is never turned.
LARGE_WINDOW = 0.35
# Turned back, parts must differ from each other this much less.
TURNED = 0.7
# Up to this many degrees a part is not turned: training shows the network as much.
SLIGHT = 10.0
# Levels that parts differ by from picture to picture, whatever their angle.
NOISE = 2.0
# Around the part, of the window's longer side.
MARGIN = 0.04
ROUNDS = 4


def choose_alignment(images: Iterable[NDArray[np.uint8]]) -> Alignment | None:
    """How to follow the part that good images uint8 [h, w, 3], of one size, show.

    None where there is no plain background, or more than one part, or where a part that is never
    turned fills most of the picture: then following buys nothing.
    """
    size, pictures = (0, 0), []
    for image in images:
        size = image.shape[0], image.shape[1]
        pictures.append(shrink(image))
    small = np.stack(pictures)
    background = background_colour(small)
    if background is None:
        return None
    apart = np.abs(small.astype(np.int16) - np.array(background, np.int16))
    distance = apart.max(axis=-1).astype(np.uint8)
    contrast = max(1, round(outlining_cut(distance)))
    differs = distance > contrast
    found = [find_part(picture, background, contrast) for picture in small]
    kept = _whole(found, differs)
    if kept is None:
        return None
    parts = [part for part, _ in kept]
    reach = max(float(np.hypot(*part.outline(THIN).T).max()) for part in parts)
    angles, polar = _angles(parts, reach)
    zoom = covered(size, small.shape[1:3])[1] / small.shape[2]
    left, top, width, height = _window(kept, angles, zoom)
    if polar is None and width * height > LARGE_WINDOW * size[0] * size[1]:
        return None
    areas = [float(part.mask.mean()) for part in parts]
    return Alignment(
        background=background,
        contrast=contrast,
        area=(min(areas) / 2, min(1.0, 1.5 * max(areas))),
        left=left,
        top=top,
        width=width,
        height=height,
        radius=max(1, round(reach * zoom)),
        polar=None if polar is None else encode_polar(np.round(polar).astype(np.uint8)),
    )


def _angles(
    parts: list[Silhouette], reach: float
) -> tuple[list[float], NDArray[np.float32] | None]:
    """How parts are turned, and the polar picture that says so; 0 and None where they are not.

    From whichever side the window is smallest, and lies on its long side.
    """
    angles, mean, left_over = _turned_back([part.polar(reach) for part in parts])
    if left_over > TURNED or _spread(angles) < SLIGHT:
        return [0.0] * len(parts), None
    together = _outlines(parts, angles).astype(np.float32)
    _, (width, height), upright = cv2.minAreaRect(together)
    if width < height:
        upright += 90.0
    mean = np.roll(mean, -round(upright * ANGLES / 360), axis=0)
    return [angle + upright for angle in angles], mean


def _window(
    kept: list[tuple[Silhouette, NDArray[np.bool_]]], angles: list[float], zoom: float
) -> tuple[int, int, int, int]:
    """Left, top, width and height, in camera pixels from a part's centre, around all of them.

    Leads, pins and tips too, thin as they are, where more than a few parts have them.
    """
    corners = _outlines([part for part, _ in kept], angles)
    thin = [
        _attached(part, differs) @ turned(angle)
        for (part, differs), angle in zip(kept, angles, strict=True)
    ]
    lowest, highest = ([end(points, axis=0) for points in thin] for end in (np.min, np.max))
    low = np.quantile(lowest, 1 - USUAL, axis=0, method="higher")
    high = np.quantile(highest, USUAL, axis=0, method="lower")
    low, high = np.minimum(low, corners.min(0)), np.maximum(high, corners.max(0))
    margin = MARGIN * float((high - low).max())
    left, top = np.floor((low - margin) * zoom).astype(int)
    right, bottom = np.ceil((high + margin) * zoom).astype(int)
    return int(left), int(top), int(right - left), int(bottom - top)


def _whole(
    parts: list[Silhouette | None], differs: NDArray[np.bool_]
) -> list[tuple[Silhouette, NDArray[np.bool_]]] | None:
    """The usual parts, each with all that differs from the background in its picture.

    None where images do not show one part each, alike in size.
    """
    found = [
        (part, mask)
        for part, mask in zip(parts, differs, strict=True)
        if part is not None
        and not part.cut_off
        and (part.mask & mask).sum() >= ONE_PIECE * mask.sum()
    ]
    if not found:
        return None
    areas = np.array([part.mask.mean() for part, _ in found])
    usual = float(np.median(areas))
    alike = (areas < ALIKE * usual) & (areas > usual / ALIKE)
    if alike.sum() < USUAL * len(parts) or usual < LEAST_AREA:
        return None
    return [one for one, usual_size in zip(found, alike, strict=True) if usual_size]


def _turned_back(
    polars: list[NDArray[np.uint8]],
) -> tuple[list[float], NDArray[np.float32], float]:
    """Angles against the mean of all turned back, that mean, and what differs still, as a share."""
    mean = polars[0].astype(np.float32)
    angles = [0.0] * len(polars)
    for _ in range(ROUNDS):
        reference = spectrum(mean)
        angles = [turn(polar, reference) for polar in polars]
        back = [
            np.roll(polar, -round(angle * ANGLES / 360), axis=0)
            for polar, angle in zip(polars, angles, strict=True)
        ]
        mean = np.mean(back, axis=0, dtype=np.float32)
    turned, as_they_lie = (float(np.var(each, axis=0).mean()) for each in (back, polars))
    return angles, mean, (turned + NOISE**2) / (as_they_lie + NOISE**2)


def _spread(angles: list[float]) -> float:
    """How far, in degrees, nine of ten angles lie from their mean at most."""
    directions = np.exp(1j * np.radians(angles))
    apart = np.angle(directions / np.mean(directions))
    return float(np.degrees(np.quantile(np.abs(apart), 0.9)))


def _outlines(parts: list[Silhouette], angles: list[float]) -> NDArray[np.float64]:
    """The outlines of all parts, turned back, from their centres: [n, 2]."""
    pairs = zip(parts, angles, strict=True)
    return np.concatenate([part.outline(THIN) @ turned(angle) for part, angle in pairs])


def _attached(part: Silhouette, differs: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Pixels [n, 2] (x, y) of a part and of what hangs on it, from its centre.

    What goes on to the picture's edge is no part's, but a seam or wire: then its outline alone.
    """
    _, labels = cv2.connectedComponents((part.mask | differs).view(np.uint8), connectivity=8)
    whole = labels == labels[part.mask][0]
    if any(side.any() for side in (whole[0], whole[-1], whole[:, 0], whole[:, -1])):
        return part.outline(THIN)
    rows, columns = np.nonzero(whole)
    pixels = np.column_stack((columns + 0.5 - part.x, rows + 0.5 - part.y))
    return np.asarray(pixels, np.float64)
