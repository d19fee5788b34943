"""What a picture is like apart from what it shows: how bright, sharp and saturated, and where.

Calibration measures it on normal parts and keeps it in the record; the station measures every
frame alike, to tell a camera that has changed from a part that is bad. Everything is taken from
the view's canvas: what the resize removes, the model does not see either.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.errors import InputError
from agent.imaging import decode_grey, is_grey

SATURATED = 250
THUMBNAIL = 64
# Takes the sensor's noise away, which a lens out of focus leaves as it is.
DENOISE_PX = 1.0
MOST_SHIFT = 8
# Of the usual difference from one part to the next.
STILL_SHARE = 0.25


@dataclass(frozen=True)
class Glance:
    """What shows at once whether a picture can be judged; no more, as the part's verdict waits.

    canvas: uint8 [H, W, 3] BGR; grey: of it, uint8 [H, W]; brightness: its mean level, 0..255;
    sharpness: standard deviation of the Laplacian of the denoised grey picture over brightness, so
    that light does not count as focus.
    """

    canvas: NDArray[np.uint8]
    grey: NDArray[np.uint8]
    brightness: float
    sharpness: float

    @cached_property
    def coloured(self) -> bool:
        """Whether any pixel has a colour; looked for only where somebody asks."""
        # A few pixels first: they nearly always settle it.
        few = np.ascontiguousarray(self.canvas[::8, ::8])
        return not is_grey(few) or not is_grey(self.canvas)

    @cached_property
    def saturated(self) -> float:
        """Share of pixels with a channel at or above level 250: what it showed there is lost.

        Counted once, for the fault and the drift.
        """
        below = cv2.inRange(self.canvas, (0, 0, 0), (SATURATED - 1,) * 3)
        return 1 - cv2.countNonZero(below) / below.size


@dataclass(frozen=True)
class Look:
    """A picture in numbers: those of `Glance`, and a thumbnail, float32 [64, 64] grey levels."""

    brightness: float
    sharpness: float
    saturated: float
    thumbnail: NDArray[np.float32]

    def difference(self, other: Look) -> float:
        """Mean absolute difference of two thumbnails, grey levels; near 0 for the same scene."""
        return float(cv2.norm(self.thumbnail, other.thumbnail, cv2.NORM_L1)) / THUMBNAIL**2


def glance_at(canvas: NDArray[np.uint8]) -> Glance:
    """Measure light and focus of a canvas uint8 [H, W, 3] BGR, as `agent.view.View` gives it."""
    grey = np.asarray(cv2.cvtColor(canvas, cv2.COLOR_BGR2GRAY), np.uint8)
    brightness = float(cv2.mean(grey)[0])
    smooth = cv2.GaussianBlur(grey, (5, 5), DENOISE_PX)
    edges = float(cv2.meanStdDev(cv2.Laplacian(smooth, cv2.CV_16S))[1][0, 0])
    return Glance(canvas, grey, brightness, edges / (brightness + 1))


def study(glance: Glance) -> Look:
    """The whole look of a picture that was glanced at."""
    small = cv2.resize(glance.grey, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
    thumbnail = small.astype(np.float32)
    return Look(glance.brightness, glance.sharpness, glance.saturated, thumbnail)


def look_at(canvas: NDArray[np.uint8]) -> Look:
    """All of a canvas, uint8 [H, W, 3] BGR, at once."""
    return study(glance_at(canvas))


def stands_still(difference: float, usual: float) -> bool:
    """Whether a picture shows the part that the one before it did.

    Args:
        difference: between the two.
        usual: the median difference from one part to the next; 0 where all pictures are the same.
    """
    return difference < STILL_SHARE * usual


def encode_thumbnail(thumbnail: NDArray[np.floating]) -> str:
    """A thumbnail as the base64 text of a PNG."""
    data = cv2.imencode(".png", np.clip(np.rint(thumbnail), 0, 255).astype(np.uint8))[1]
    return base64.b64encode(data.tobytes()).decode("ascii")


def decode_thumbnail(text: str) -> NDArray[np.float32]:
    """The thumbnail float32 [64, 64] in what `encode_thumbnail` gave.

    Raises:
        InputError: it is anything else.
    """
    image = decode_grey(text, (THUMBNAIL, THUMBNAIL))
    if image is None:
        raise InputError(f"the reference picture is no {THUMBNAIL}x{THUMBNAIL} grey PNG")
    return image.astype(np.float32)


def shift_px(thumbnail: NDArray[np.float32], reference: NDArray[np.float32]) -> tuple[float, float]:
    """How far (x, y) a thumbnail lies from a reference, in thumbnail pixels, at most MOST_SHIFT.

    The middle of the reference is looked for by normalised cross-correlation; a parabola through
    the peak and its neighbours gives the fraction.
    """
    middle = reference[MOST_SHIFT:-MOST_SHIFT, MOST_SHIFT:-MOST_SHIFT]
    match = np.asarray(cv2.matchTemplate(thumbnail, middle, cv2.TM_CCOEFF_NORMED), np.float32)
    y, x = np.unravel_index(int(match.argmax()), match.shape)
    right = int(x) + _fraction(match[y, max(x - 1, 0) : x + 2])
    down = int(y) + _fraction(match[max(y - 1, 0) : y + 2, x])
    return right - MOST_SHIFT, down - MOST_SHIFT


def vertex(before: float, peak: float, after: float) -> float:
    """Where a parabola through three values peaks, from the one in the middle."""
    bend = before - 2 * peak + after
    return 0.5 * (before - after) / bend if bend < 0 else 0.0


def _fraction(around: NDArray[np.float32]) -> float:
    return vertex(*map(float, around)) if len(around) == 3 else 0.0
