"""Alignment: a window that follows the part, wherever it lies and however it is turned.

A part on a plain background is found by the background's colour. Its centre of gravity says where
it is; the angle at which its polar picture fits that of the good parts best, how it is turned. What
the model sees is a window around it, turned back: larger than in the whole picture, and always
from the same side. A line engineer calls that a fixture (HALCON: alignment).

The agent aligns the same way; the two stages share no code so that either installs without the
other, and a test holds them together.
"""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator

from training.errors import NoPart
from training.images import halve
from training.silhouette import ANGLES, RADII, THIN, find_part, shrink, spectrum, turn, zoom

# The model sees nothing of what lies beyond the window. A part may reach so far out of it, in
# pixels of the small picture; what is thinner there is found in one picture and not in the next.
BEYOND, THICK = 2.0, THIN + 2


class Alignment(BaseModel):
    """How the part is found, and the window that follows it.

    Attributes:
        background: its colour, BGR.
        contrast: levels from it, in the channel that differs most, above which the part begins.
        area: smallest and largest share of the picture that is taken for one part.
        left, top, width, height: of the window, from the part's centre of gravity, in camera
            pixels of the part turned back.
        radius: around the centre, in camera pixels, within which the angle is looked for.
        polar: what a good part looks like there: PNG in base64, a row an angle; None where parts
            are not turned.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    background: tuple[int, int, int]
    contrast: int = Field(ge=1, le=255)
    area: tuple[float, float]
    left: int
    top: int
    width: int = Field(gt=0)
    height: int = Field(gt=0)
    radius: int = Field(gt=0)
    polar: str | None = None

    @field_validator("polar")
    @classmethod
    def _is_picture(cls, polar: str | None) -> str | None:
        if polar is not None:
            _decode(polar)
        return polar


@dataclass(frozen=True)
class Pose:
    """Where a part lies: centre of gravity in pixels (0 is the first one's edge), and its angle.

    angle: degrees, clockwise as seen.
    """

    x: float
    y: float
    angle: float = 0.0


class Aligner:
    """An alignment in use."""

    def __init__(self, settings: Alignment) -> None:
        self.settings = settings
        self._spectrum = None if settings.polar is None else spectrum(_decode(settings.polar))

    def find(self, image: NDArray[np.uint8], name: str) -> Pose:
        """The pose of the part in an image uint8 [h, w, 3] BGR.

        Raises NoPart, with the `name` of the image, where no part is found in it, or what is
        found is too small or too large for one, or cut off by the picture's edge or the window's.
        """
        settings = self.settings
        small = shrink(image)
        part = find_part(small, settings.background, settings.contrast)
        low, high = settings.area
        share = 0.0 if part is None else float(part.mask.mean())
        if part is None or not low <= share <= high:
            raise NoPart(
                name,
                f"no part: what differs from the background fills {share:.1%} of it, a part "
                f"{low:.1%} to {high:.1%}",
            )
        if part.beside >= low:
            raise NoPart(name, "more than one part: only one of them would be inspected")
        if part.cut_off:
            raise NoPart(name, "no whole part: it is cut off by the picture's edge")
        zoom_y, zoom_x = zoom(image, small)
        angle = 0.0
        if self._spectrum is not None:
            angle = turn(part.polar(settings.radius / zoom_x), self._spectrum)
        beyond = self._beyond(part.outline(THICK) * (zoom_x, zoom_y), angle)
        if beyond > BEYOND * max(zoom_x, zoom_y):
            raise NoPart(name, f"a part that reaches {beyond:.0f} pixels beyond what is inspected")
        return Pose(part.x * zoom_x, part.y * zoom_y, angle)

    def window(
        self, image: NDArray[np.uint8], pose: Pose, size: tuple[int, int]
    ) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
        """The window around a part in that pose, resized to `size` (height, width).

        Returns uint8 [height, width, 3]; beside the image its border goes on. And where that lies:
        [2, 3], from it to the image, in pixels from the first one's edge.
        """
        settings = self.settings
        lying = turned(pose.angle)
        corner = lying @ (settings.left, settings.top) + (pose.x, pose.y)
        scale = settings.width / size[1], settings.height / size[0]
        to_image = np.column_stack((lying * scale, corner))
        to_smaller = to_image
        # Halved before it is turned for as long as the window is smaller, and what is left after
        # it: every pixel counts.
        while min(np.hypot(*to_smaller[:, :2])) >= 2:
            image, to_smaller = halve(image, True, True), to_smaller / 2
        columns, rows = (_finer(scale) for scale in np.hypot(*to_smaller[:, :2]))
        window = cv2.warpAffine(
            image,
            _between_centres(to_smaller @ np.diag((1 / columns, 1 / rows, 1))),
            (size[1] * columns, size[0] * rows),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return _halved(np.asarray(window, np.uint8), size), to_image

    def _beyond(self, outline: NDArray[np.float64], angle: float) -> float:
        """How far a part's outline [n, 2], from its centre, reaches out of the window."""
        settings = self.settings
        points = outline @ turned(angle)
        low = np.array((settings.left, settings.top))
        high = low + (settings.width, settings.height)
        return float(max((low - points).max(initial=0.0), (points - high).max(initial=0.0)))


def encode_polar(polar: NDArray[np.uint8]) -> str:
    """A polar picture as `Alignment` keeps it."""
    return base64.b64encode(cv2.imencode(".png", polar)[1].tobytes()).decode("ascii")


def _decode(text: str) -> NDArray[np.uint8]:
    try:
        data = np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
        polar = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE) if len(data) else None
    except (ValueError, cv2.error):
        polar = None
    if polar is None or polar.shape != (ANGLES, RADII):
        raise ValueError(f"the picture to align by is no {ANGLES}x{RADII} grey PNG")
    return np.asarray(polar, np.uint8)


def turned(angle: float) -> NDArray[np.float64]:
    """What turns points [2] of the part turned back to how it lies."""
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    return np.array([[cos, -sin], [sin, cos]])


def _finer(scale: float) -> int:
    """How much finer than wanted it is turned: 1, 2, 4, … so that interpolating drops no pixel."""
    return 1 << max(0, round(math.log2(scale)))


def _halved(window: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A window that is finer than `size` by powers of two; sharply, as turning has blurred it."""
    while window.shape[:2] != size:
        height, width = (max(a // 2, b) for a, b in zip(window.shape[:2], size, strict=True))
        half = cv2.resize(window, (width, height), interpolation=cv2.INTER_CUBIC)
        window = np.asarray(half, np.uint8)
    return window


def _between_centres(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """An affine map [2, 3] of pixels' edges as one of their centres, as OpenCV takes them."""
    moved = affine.copy()
    moved[:, 2] += affine[:, :2] @ (0.5, 0.5) - 0.5
    return moved
