"""A video file as a camera."""

from __future__ import annotations

import time
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agent.camera import decoder
from agent.camera.base import Camera, EndOfStream, Frame, Pace, Settings
from agent.camera.opencv import as_uint8, first_image, open_capture, told_period_s
from agent.camera.uri import CameraUri, Options
from agent.errors import InputError

# For a film that does not say how fast it is.
USUAL_PERIOD_S = 0.2


class VideoOptions(Options):
    rate: float | None = Field(None, gt=0, le=1000, description="frames a second; the file's own")
    loop: bool = Field(False, description="start again after the last frame")


class VideoFile(Camera):
    """Gives every frame of a video file once, at the file's rate unless told another."""

    waits = True

    def __init__(self, uri: CameraUri, options: VideoOptions) -> None:
        self._uri = uri
        self._loop = options.loop
        self._capture = self._open()
        rate = options.rate or 1 / (told_period_s(self._capture) or USUAL_PERIOD_S)
        self._pace = Pace(rate)
        self.period_s = self._pace.period_s
        self._frame_id = 0
        self._first: NDArray[np.uint8] | None = first_image(self._capture, self._uri)
        self._size = self._first.shape

    def _open(self) -> cv2.VideoCapture:
        path = Path(self._uri.local_path())
        if not path.is_file():
            raise InputError(f"camera {self._uri.shown}: there is no such file")
        return open_capture(self._uri, str(path), cv2.CAP_FFMPEG, [])

    def read(self) -> Frame:
        self._pace.wait()
        image, self._first = self._first, None
        if image is None:
            image = self._next_image()
        damage = decoder.damage()
        if damage is not None:
            raise InputError(
                f"camera {self._uri.shown}: its picture {self._frame_id} is damaged (the decoder "
                f"says: {damage}): record the film anew or cut it there"
            )
        frame = Frame(image, self._frame_id, str(self._frame_id), time.monotonic_ns())
        self._frame_id += 1
        return frame

    def _next_image(self) -> NDArray[np.uint8]:
        there, image = self._capture.read()
        if not there and self._loop:
            # Opened anew: not every container can be wound back.
            self.close()
            self._capture = self._open()
            there, image = self._capture.read()
        if not there:
            raise EndOfStream
        return as_uint8(image)

    def settings(self) -> Settings:
        return {"scheme": "file", "width": self._size[1], "height": self._size[0]}

    def close(self) -> None:
        self._capture.release()


def open_video(uri: CameraUri) -> Camera:
    """A camera for `file:///video.mp4?rate=25&loop=false`; raises InputError."""
    return VideoFile(uri, uri.options(VideoOptions))
