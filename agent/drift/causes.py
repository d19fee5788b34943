"""What has changed in the pictures since the calibration: light, focus, position."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np

from agent.picture import THUMBNAIL, Look, decode_thumbnail, shift_px
from agent.record import Picture, Spread

# A change is named when chance does not explain it and somebody would act on it.
STANDARD_ERRORS = 4.0
BRIGHTNESS_SHARE = 0.02
SHARPNESS_SHARE = 0.05
SATURATED_SHARE = 0.01
MOVED_SHARE = 0.004
LEAST_LOOKS = 10
# Of the median of n normal values, over the standard error of their mean.
MEDIAN_ERROR = 1.2533


def causes(picture: Picture, looks: Sequence[Look], frame_size: tuple[int, int]) -> list[str]:
    """Changes from calibration to now, in words; empty when the pictures look the same.

    Args:
        picture: from the calibration.
        looks: of the last parts, at least one.
        frame_size: (height, width) of what the model's frame shows, in camera pixels.
    """
    found = []
    change = _change(picture.brightness, [look.brightness for look in looks])
    if abs(change) > BRIGHTNESS_SHARE:
        found.append(f"{'brighter' if change > 0 else 'darker'} by {abs(change):.0%}")
    change = _change(picture.sharpness, [look.sharpness for look in looks])
    if abs(change) > SHARPNESS_SHARE:
        word = "sharper" if change > 0 else "blurred"
        found.append(f"{word}: sharpness {change:+.0%}")
    saturated = float(np.median([look.saturated for look in looks]))
    if saturated > picture.saturated.percentile(99) + SATURATED_SHARE:
        found.append(f"saturated: {saturated:.1%} of the pixels")
    return found + _movement(picture, looks, frame_size)


def _change(usual: Spread, values: Sequence[float]) -> float:
    """Relative change of the median, 0 where chance explains it."""
    before, now = usual.percentile(50), float(np.median(values))
    deviation = (usual.percentile(84) - usual.percentile(16)) / 2
    error = MEDIAN_ERROR * deviation * sqrt(1 / len(values) + 1 / len(usual.values))
    if before <= 0 or abs(now - before) <= STANDARD_ERRORS * error:
        return 0.0
    return now / before - 1


def _movement(picture: Picture, looks: Sequence[Look], frame_size: tuple[int, int]) -> list[str]:
    if len(looks) < LEAST_LOOKS:
        return []
    reference = decode_thumbnail(picture.reference)
    shifts = np.array([shift_px(look.thumbnail, reference) for look in looks]) / THUMBNAIL
    right, down = shifts.mean(axis=0)
    # Parts lie differently one by one; the camera has moved when all of them have.
    error = shifts.std(axis=0) * sqrt(1 / len(looks) + 1 / len(picture.brightness.values))
    moved = np.abs((right, down)) > np.maximum(MOVED_SHARE, STANDARD_ERRORS * error)
    if not moved.any():
        return []
    height, width = frame_size
    across = f"{abs(right) * width:.1f} px {'right' if right > 0 else 'left'}"
    along = f"{abs(down) * height:.1f} px {'down' if down > 0 else 'up'}"
    return [f"moved: {across}, {along}"]
