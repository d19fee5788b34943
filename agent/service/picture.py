"""Whether a picture can be judged at all: light, focus and life of the camera."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agent.picture import Glance, Look
from agent.record import Picture, Spread

ROOM = 0.75


class PictureCheck:
    """Compares each picture with the normal ones that the threshold was taken on.

    What is normal has a lowest and a highest value there; a picture is at fault when it lies
    further out than these lie apart, as a ratio: below lowest * (lowest / highest), or above
    highest * (highest / lowest). A line whose light varies much is given as much room, and any
    line the room that ROOM gives: a slow change is the drift monitor's to tell.
    """

    def __init__(self, normal: Picture | None) -> None:
        """normal: of the calibration record; without it only a frozen camera can be told."""
        self._normal = normal
        # Where normal pictures repeat each other, repetition tells nothing.
        self._repeats = normal is not None and normal.difference.percentile(0) == 0
        self._previous: NDArray[np.uint8] | None = None
        # Once, as a verdict waits for every check.
        self._brightness = None if normal is None else _bounds(normal.brightness)
        self._bluntest = None if normal is None else _bounds(normal.sharpness)[0]

    def fault(self, image: NDArray[np.uint8], look: Glance | Look) -> str | None:
        """What is wrong with a picture; None when it can be judged.

        Args:
            image: of the camera, uint8 [H, W, 3].
            look: of what the model gets of it.
        """
        previous, self._previous = self._previous, image
        if not self._repeats and previous is not None and _same(image, previous):
            # No two exposures agree in every pixel's noise.
            return "frozen: the same picture as before"
        if self._normal is None or self._brightness is None or self._bluntest is None:
            return None
        darkest, brightest = self._brightness
        if look.brightness < darkest:
            return f"dark: mean level {look.brightness:.0f}, normal from {darkest:.0f}"
        if look.brightness > brightest:
            clipped = look.saturated > self._normal.saturated.percentile(100)
            word = "saturated" if clipped else "bright"
            return f"{word}: mean level {look.brightness:.0f}, normal to {brightest:.0f}"
        if look.sharpness < self._bluntest:
            return f"blurred: sharpness {look.sharpness:.3f}, normal from {self._bluntest:.3f}"
        return None


def _bounds(normal: Spread) -> tuple[float, float]:
    lowest, highest = normal.percentile(0), normal.percentile(100)
    if lowest <= 0:
        return lowest, 2 * highest - lowest
    room = min(lowest / highest, ROOM)
    return lowest * room, highest / room


def _same(image: NDArray[np.uint8], other: NDArray[np.uint8]) -> bool:
    # A coarse grid first: it nearly always settles the matter.
    coarse = np.array_equal(image[::16, ::16], other[::16, ::16])
    return coarse and np.array_equal(image, other)
