"""USB cameras and others that Linux knows (V4L2)."""

from __future__ import annotations

from pathlib import Path

import cv2
from pydantic import Field

from agent.camera.base import Camera, Settings
from agent.camera.live import LiveCamera
from agent.camera.opencv import open_capture
from agent.camera.properties import ask, pixel_format
from agent.camera.uri import CameraUri, Options
from agent.camera.uvc import shows_incomplete
from agent.errors import InputError

# V4L2's V4L2_EXPOSURE_MANUAL; a fixed exposure is ignored while the automatic one is on.
MANUAL_EXPOSURE = 1
# The most that OpenCV asks V4L2 for.
MOST_BUFFERS = 10


class V4l2Options(Options):
    """All as the driver counts them; what is left out stays as it is."""

    format: str | None = Field(
        None, pattern="^[ -~]{4}$", description="of the pixels as they are sent, as in YUYV, MJPG"
    )
    width: int | None = Field(None, gt=0, description="pixels")
    height: int | None = Field(None, gt=0, description="pixels")
    fps: float | None = Field(None, gt=0, description="frames a second")
    exposure: float | None = Field(None, gt=0, description="turns automatic exposure off")
    gain: float | None = Field(None, ge=0, description="of the sensor")
    white_balance: float | None = Field(None, gt=0, description="kelvin; turns automatic off")


def open_v4l2(uri: CameraUri, *, every_frame: bool = False) -> Camera:
    """A camera for `v4l2:///dev/video0?width=1280&height=720&fps=30&exposure=157`.

    every_frame: as of `LiveCamera`.

    Raises:
        InputError: it does not open, gives no frame, or does not take a setting.
    """
    options = uri.options(V4l2Options)
    path = Path(uri.local_path())
    if not path.exists():
        raise InputError(
            f"camera {uri.shown}: there is no such device: is it plugged in, and for the service "
            "opened with install.py install … --device v4l2?"
        )
    asked: Settings = options.model_dump(exclude_none=True)
    # No time-outs: V4L2 knows none, and refuses to open when given any. The capture process is
    # killed when it hangs.
    capture = open_capture(uri, str(path), cv2.CAP_V4L2, [])
    # The oldest frame in a short queue is young. Where each is a part, what finds no place in it is
    # lost without a word.
    capture.set(cv2.CAP_PROP_BUFFERSIZE, MOST_BUFFERS if every_frame else 1)
    if options.exposure is not None:
        capture.set(cv2.CAP_PROP_AUTO_EXPOSURE, MANUAL_EXPOSURE)
    if options.white_balance is not None:
        capture.set(cv2.CAP_PROP_AUTO_WB, 0)
    ask(capture, asked)
    taken = pixel_format(capture)
    if shows_incomplete(path, taken):
        capture.release()
        raise InputError(
            f"camera {uri.shown} sends {taken}, and of such a picture that did not come whole this "
            "kernel gives the rest of the one before: ask for format=MJPG, or have "
            "`options uvcvideo nodrop=0` in /etc/modprobe.d where the kernel still knows that"
        )
    return LiveCamera(uri, capture, asked, every_frame=every_frame)
