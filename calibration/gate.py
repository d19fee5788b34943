"""Pictures that are no use for calibration: dark, blurred, grey, or of a part seen before.

The station answers most such frames with NO_DECISION, so a threshold is taken without them. What
is usual is learned from the accepted pictures themselves; only the first few meet fixed limits
alone, for what shows nothing at all: a part before a lit ground may be white but for its outline.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.picture import Look, stands_still

# Absolute limits (mean level, share of pixels, standard deviation of a thumbnail's levels): nobody
# would call these a picture of a part.
BLACK = 8.0
WHITE = 247.0
FLAT = 2.0
# Relative limits: against the median of the accepted pictures, and against their own spread where
# the parts themselves differ widely.
FROM = 10
LOST_SHARE = 0.4
SPREADS = 6.0
MORE_SATURATED = 0.1


class Gate:
    """Judges pictures in their order; what it accepts becomes the measure of the next."""

    def __init__(self) -> None:
        self._looks: list[Look] = []
        self._differences: list[float] = []
        self._seen: dict[bytes, str] = {}

    def refuse(
        self, name: str, image: NDArray[Any], look: Look, *, faded: bool = False
    ) -> str | None:
        """Why a picture is of no use; None when it is accepted.

        Args:
            name: of the picture.
            image: as the camera gave it.
            look: of the canvas.
            faded: it has no colours, and the training images all had some.
        """
        digest = _digest(image)
        if digest in self._seen:
            return f"the same picture as {self._seen[digest]}"
        difference = look.difference(self._looks[-1]) if self._looks else None
        reason = self._unlike_the_rest(look)
        if reason is None and faded:
            reason = "grey: no colours, the training images had some"
        if reason is None and difference is not None and self._stands_still(difference):
            reason = "the same part as in the picture before"
        if reason is not None:
            return reason
        self._seen[digest] = name
        self._looks.append(look)
        if difference is not None:
            self._differences.append(difference)
        return None

    def rule_out(self, name: str, image: NDArray[Any]) -> None:
        """Refuse the copies, too, of a picture that does not count for another reason."""
        self._seen.setdefault(_digest(image), name)

    def look_again(self) -> dict[int, str]:
        """Accepted pictures that all the others together show to be of no use: why, by number.

        They are accepted no more.
        """
        late = {}
        for index, look in enumerate(self._looks):
            if (reason := self._unlike_the_rest(look)) is not None:
                late[index] = reason
        self._looks = [look for index, look in enumerate(self._looks) if index not in late]
        return late

    def _unlike_the_rest(self, look: Look) -> str | None:
        flat = look.thumbnail.std() < FLAT
        if flat and look.brightness < BLACK:
            return f"dark: mean grey level {look.brightness:.1f}"
        if flat and look.brightness > WHITE:
            return f"saturated: {look.saturated:.0%} of its pixels"
        if len(self._looks) < FROM:
            return None
        usual, least = self._usual(lambda each: each.brightness)
        if look.brightness < least:
            return f"dark: mean grey level {look.brightness:.1f}, usual {usual:.1f}"
        usual, least = self._usual(lambda each: each.sharpness)
        if look.sharpness < least:
            return f"blurred: sharpness {look.sharpness:.3g}, usual {usual:.3g}"
        usual = float(np.percentile([each.saturated for each in self._looks], 95))
        if look.saturated > usual + MORE_SATURATED:
            return f"saturated: {look.saturated:.1%} of its pixels, usual {usual:.1%}"
        return None

    def _usual(self, measure: Callable[[Look], float]) -> tuple[float, float]:
        """The median of a measure, and the least that is still taken for usual."""
        values = np.array([measure(look) for look in self._looks])
        median = float(np.median(values))
        spread = 1.4826 * float(np.median(np.abs(values - median)))
        return median, median - max(LOST_SHARE * median, SPREADS * spread)

    def _stands_still(self, difference: float) -> bool:
        if len(self._differences) < FROM:
            return False
        return stands_still(difference, float(np.median(self._differences)))


def _digest(image: NDArray[Any]) -> bytes:
    return hashlib.sha256(image.tobytes()).digest()
