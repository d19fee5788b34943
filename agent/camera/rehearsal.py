"""Faults of a camera on demand, to see what a station does before its camera has one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agent.camera.base import Camera, CameraFault, Frame, Settings
from agent.camera.uri import Options
from agent.errors import InputError

# uint8 or uint16.
Image = NDArray[Any]
UNPLUGGED, FROZEN = "unplugged", "frozen"


def _dark(image: Image) -> Image:
    return np.asarray(image // 16, image.dtype)


def _saturated(image: Image) -> Image:
    brightest = np.iinfo(image.dtype).max
    return np.asarray(np.clip(image.astype(np.uint32) * 4, 0, brightest), image.dtype)


def _blurred(image: Image) -> Image:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), image.shape[1] / 32), image.dtype)


def _grey(image: Image) -> Image:
    return np.repeat(image[..., 1:2], 3, axis=2)


PICTURE_FAULTS: dict[str, Callable[[Image], Image]] = {
    "dark": _dark,
    "saturated": _saturated,
    "blurred": _blurred,
    "grey": _grey,
}
FAULTS = (*PICTURE_FAULTS, FROZEN, UNPLUGGED)


class RehearsalOptions(Options):
    faults: Path | None = Field(
        None, description=f"a file that names a fault to show while it is there: {FAULTS}"
    )


class Rehearsal(Camera):
    """A simulated camera that has the fault that a file names, for as long as the file is there."""

    def __init__(self, camera: Camera, faults: Path) -> None:
        """Raises InputError while the fault is that the camera is unplugged."""
        self._camera = camera
        self._faults = faults
        self._last: Image | None = None
        self.period_s, self.waits = camera.period_s, camera.waits
        if self._fault() == UNPLUGGED:
            raise InputError("the camera does not open: it rehearses that it is unplugged")

    def read(self) -> Frame:
        frame = self._camera.read()
        fault = self._fault()
        if fault == UNPLUGGED:
            raise CameraFault("no frame: the camera rehearses that it is unplugged")
        image = frame.image
        if fault == FROZEN and self._last is not None:
            image = self._last
        elif fault in PICTURE_FAULTS:
            image = PICTURE_FAULTS[fault](image)
        self._last = image
        return Frame(image, frame.frame_id, frame.name, frame.captured_ns)

    def settings(self) -> Settings:
        return self._camera.settings()

    def close(self) -> None:
        self._camera.close()

    def _fault(self) -> str:
        try:
            fault = self._faults.read_text("utf-8").strip()
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"cannot read the faults to rehearse from {self._faults}") from error
        if fault not in ("", *FAULTS):
            raise InputError(f"{self._faults}: no fault {fault!r}: choose one of {FAULTS}")
        return fault


def rehearse(camera: Camera, options: RehearsalOptions) -> Camera:
    """The camera as it is, or with the faults that its address asks for."""
    return camera if options.faults is None else Rehearsal(camera, options.faults)
