"""Whether a picture can be judged at all: light, focus and life of the camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.camera import is_same
from agent.picture import Glance
from agent.record import Picture, Spread

ROOM = 0.75


@dataclass(frozen=True)
class _Limits:
    """Beyond these a picture is at fault; whitest: share of saturated pixels."""

    darkest: float
    brightest: float
    bluntest: float
    whitest: float

    @classmethod
    def of(cls, normal: Picture) -> _Limits:
        darkest, brightest = _bounds(normal.brightness)
        bluntest, _ = _bounds(normal.sharpness)
        # A share of pixels ends at 1, which a multiple of it does not: its rest has the same room.
        rest = Spread(values=[1.0 - share for share in reversed(normal.saturated.values)])
        return cls(darkest, brightest, bluntest, 1.0 - _bounds(rest)[0])


class PictureCheck:
    """Compares each picture with the normal ones that the threshold was taken on.

    What is normal has a lowest and a highest value there; a picture is at fault when it lies
    further out than these lie apart, as a ratio: below lowest * (lowest / highest), or above
    highest * (highest / lowest). A line whose light varies much is given as much room, and any
    line the room that ROOM gives: a slow change is the drift monitor's to tell.
    """

    def __init__(self, normal: Picture | None, coloured: bool = False) -> None:
        """normal: of the calibration record; without it only a frozen camera can be told, and one
        that has lost its colours, where pictures must be `coloured`."""
        self._coloured = coloured
        # Once, as a verdict waits for every check.
        self._limits = None if normal is None else _Limits.of(normal)
        # Where normal pictures repeat each other, repetition tells nothing.
        self._repeats = normal is not None and normal.difference.percentile(0) == 0

    def fault(
        self,
        image: NDArray[np.uint8],
        seen: Glance,
        previous: NDArray[np.uint8] | None,
        repeats: bool = False,
    ) -> str | None:
        """What is wrong with a picture; None when it can be judged.

        Args:
            image: of the camera, uint8 [H, W, 3].
            seen: of what the model gets of it.
            previous: the camera's image that was looked at before; None where there was none.
            repeats: as of the frame.
        """
        again = repeats or (previous is not None and is_same(image, previous))
        if again and not self._repeats:
            # No two exposures agree in every pixel's noise.
            return "frozen: the same picture as before"
        if self._limits is not None and (fault := _beyond(self._limits, seen)) is not None:
            return fault
        if self._coloured and not seen.coloured:
            # As of a network camera that takes the night to have come.
            return "grey: no colours, the training images had some"
        return None


def _beyond(limits: _Limits, seen: Glance) -> str | None:
    if seen.brightness < limits.darkest:
        return f"dark: mean level {seen.brightness:.0f}, normal from {limits.darkest:.0f}"
    if (white := seen.saturated) > limits.whitest:
        return f"saturated: {white:.0%} of its pixels, normal to {limits.whitest:.0%}"
    if seen.brightness > limits.brightest:
        return f"bright: mean level {seen.brightness:.0f}, normal to {limits.brightest:.0f}"
    if seen.sharpness < limits.bluntest:
        return f"blurred: sharpness {seen.sharpness:.3f}, normal from {limits.bluntest:.3f}"
    return None


def _bounds(normal: Spread) -> tuple[float, float]:
    lowest, highest = normal.percentile(0), normal.percentile(100)
    if lowest <= 0:
        return lowest, 2 * highest - lowest
    room = min(lowest / highest, ROOM)
    return lowest * room, highest / room
