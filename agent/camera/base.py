"""What every camera is: a source of frames that says what it captured, and when."""

from __future__ import annotations

import hashlib
import json
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Settings = dict[str, str | int | float]


class CameraFault(Exception):
    """The camera gave no usable frame; opening it again may help."""


class EndOfStream(Exception):
    """A source with a last frame has given it."""


@dataclass(frozen=True)
class Frame:
    """One picture.

    image: uint8 or uint16 [H, W, 3] BGR; frame_id: counts from 0 since the camera was opened, with
    the pictures that came and could not be given; name: the same for the same picture on every run
    where the source has such a name (an index, a file), else the frame id; captured_ns: monotonic
    clock, when the picture was there to be read; repeats: the camera gave the very same picture the
    time before, where that was looked at.
    """

    image: NDArray[Any]
    frame_id: int
    name: str
    captured_ns: int
    repeats: bool = False


def is_same(image: NDArray[Any], other: NDArray[Any]) -> bool:
    """Whether two images agree in every pixel, as no two exposures do."""
    # A coarse grid first: it nearly always settles the matter.
    coarse = np.array_equal(image[::16, ::16], other[::16, ::16])
    return coarse and np.array_equal(image, other)


class Camera(ABC):
    """An open camera.

    Attributes:
        period_s: the longest usual time between two frames, s; 0 where `read` never waits.
        waits: the source holds its next frame until it is asked for, so nothing is lost between
            two reads. False for anything that shows the world as it goes by.
    """

    period_s: float
    waits: bool

    @abstractmethod
    def read(self) -> Frame:
        """Return the next frame, waiting for it where need be.

        Raises:
            CameraFault: there is no frame where there should be one.
            EndOfStream: a finite source has given its last frame.
            InputError: what the source was given to show cannot be read; trying again is no help.
        """

    @abstractmethod
    def settings(self) -> Settings:
        """What decides the picture (scheme, size, exposure, ...), not where it comes from."""

    def close(self) -> None:  # noqa: B027 - nothing to do is a fair way to close
        """Give the device back; a source that holds nothing has nothing to do."""


def settings_digest(settings: Settings) -> str:
    """The sha256 (hex) of camera settings in canonical JSON, for the calibration record."""
    canonical = json.dumps(settings, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


class Pace:
    """Holds back a source that could go faster than its rate.

    Frames are due at absolute times, so the rate does not drift with the time a frame takes. A
    source that fell behind by more than a period starts anew instead of catching up in a burst.
    """

    def __init__(self, rate: float) -> None:
        """rate: frames a second; 0 for no holding back."""
        self.period_s = 1 / rate if rate else 0.0
        self._due: float | None = None

    def wait(self) -> None:
        """Sleep until the next frame is due; the first one is due at once."""
        now = time.monotonic()
        if self._due is None or now > self._due + self.period_s:
            self._due = now
        if self._due > now:
            time.sleep(self._due - now)
        self._due += self.period_s
