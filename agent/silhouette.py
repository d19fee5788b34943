"""The part in a small picture: where it is, and by what angle it is turned.

Training does the same; the two stages share no code so that either installs without the other,
and a test holds them together.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.imaging import covered, resize
from agent.picture import vertex

# The part is looked for in a picture of this longer side.
SEARCHED = 320
# Thinner than this there, it is a wire or a hair, and no part.
THIN = 5
# Of the polar picture.
ANGLES, RADII = 720, 64


@dataclass(frozen=True)
class Silhouette:
    """The part in a small picture.

    distance: uint8 [h, w], levels from the background, 0 beside the part; mask: bool [h, w];
    x, y: its centre of gravity, in pixels of the small picture; beside: what the largest other
    thing fills of the picture.
    """

    distance: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    x: float
    y: float
    beside: float

    @property
    def cut_off(self) -> bool:
        """Whether it reaches the picture's edge: what lies beyond, nobody sees."""
        sides = self.mask[0], self.mask[-1], self.mask[:, 0], self.mask[:, -1]
        return any(side.any() for side in sides)

    def outline(self, thin: int) -> NDArray[np.float64]:
        """Points [n, 2] (x, y) of its outline, from its centre, without what is thinner."""
        thick = cv2.morphologyEx(self.mask.view(np.uint8), cv2.MORPH_OPEN, _disc(thin))
        contours, _ = cv2.findContours(thick, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        points = [contour.reshape(-1, 2) + 0.5 - (self.x, self.y) for contour in contours]
        return np.concatenate([np.empty((0, 2)), *points])

    def polar(self, radius: float) -> NDArray[np.uint8]:
        """The part around its centre: uint8 [ANGLES, RADII]."""
        centre = (self.x - 0.5, self.y - 0.5)
        # Beyond the picture there is background; left unfilled, there is what the memory held.
        flags = cv2.INTER_LINEAR | cv2.WARP_FILL_OUTLIERS
        return np.asarray(
            cv2.warpPolar(self.distance, (RADII, ANGLES), centre, radius, flags), np.uint8
        )


def shrink(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The small picture, uint8 [h, w, 3], that the part is looked for in."""
    height, width = image.shape[:2]
    smaller = min(1.0, SEARCHED / max(height, width))
    return resize(image, (max(1, round(height * smaller)), max(1, round(width * smaller))))


def zoom(image: NDArray[np.uint8], small: NDArray[np.uint8]) -> tuple[float, float]:
    """How many pixels (y, x) of an image one of its small picture stands for."""
    height, width = covered(image.shape[:2], small.shape[:2])
    return height / small.shape[0], width / small.shape[1]


def find_part(
    small: NDArray[np.uint8], background: tuple[int, int, int], contrast: int
) -> Silhouette | None:
    """The largest thing that differs from the background in a small picture; None: nothing does."""
    differs = cv2.absdiff(small, np.array((*background, 0.0)))  # four numbers: OpenCV's colour
    distance = cv2.max(cv2.max(differs[..., 0], differs[..., 1]), differs[..., 2])
    _, differs = cv2.threshold(distance, contrast, 255, cv2.THRESH_BINARY)
    # Closed with background around it: what comes near the edge would be drawn out to it.
    rim = THIN // 2
    framed = cv2.copyMakeBorder(differs, rim, rim, rim, rim, cv2.BORDER_CONSTANT, value=(0,))
    closed = cv2.morphologyEx(framed, cv2.MORPH_CLOSE, _disc(THIN))[rim:-rim, rim:-rim]
    differs = cv2.morphologyEx(closed, cv2.MORPH_OPEN, _disc(THIN))
    count, labels, stats, centres = cv2.connectedComponentsWithStats(differs, connectivity=8)
    if count < 2:
        return None
    largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    mask = labels == largest
    x, y = centres[largest] + 0.5
    others = np.delete(stats[1:, cv2.CC_STAT_AREA], largest - 1)
    beside = float(others.max(initial=0)) / mask.size
    return Silhouette(np.where(mask, distance, np.uint8(0)), mask, float(x), float(y), beside)


def _disc(size: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)), np.uint8)


def spectrum(polar: NDArray[np.uint8 | np.float32]) -> NDArray[np.complex64]:
    """What `turn` compares with, of a polar picture [ANGLES, RADII]."""
    # Weighted by the radius: a polar picture shows few pixels near the centre many times.
    weighted = polar * np.sqrt(np.arange(RADII, dtype=np.float32) + 0.5)
    return np.asarray(np.fft.rfft(weighted, axis=0), np.complex64)


def turn(polar: NDArray[np.uint8], reference: NDArray[np.complex64]) -> float:
    """The angle, degrees clockwise as seen, by which a polar picture is turned from another's."""
    match = np.fft.irfft((spectrum(polar) * reference.conj()).sum(1), ANGLES)
    best = int(match.argmax())
    fraction = vertex(*(float(match[(best + step) % ANGLES]) for step in (-1, 0, 1)))
    return (best + fraction) * 360.0 / ANGLES
