"""Opening and reading through OpenCV, with its silences and its chatter dealt with."""

from __future__ import annotations

import os

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.camera.uri import CameraUri
from agent.errors import InputError

# For a camera that does not say how fast it is.
USUAL_PERIOD_S = 0.2


def open_capture(self) -> cv2.VideoCapture:
        path = Path(self._uri.local_path())
        if not path.is_file():
            raise InputError(f"camera {self._uri.shown}: there is no such file")
        return open(self._uri, str(path), cv2.CAP_FFMPEG, [])

    def read(self) -> Frame:
        self._pace.wait()
        image, self._first = self._first, None
        if image is None:
            image = self._next_image()
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


class LiveCamera(Camera):
    """A camera that shows the world as it goes by: every read gives a frame that is fresh."""

    waits = False

    def __init__(self, uri: CameraUri, capture: cv2.VideoCapture, asked: Settings) -> None:
        """capture: opened and set; asked: settings to read back."""
        self._uri = uri
        self._capture = capture
        self._frame_id = 0
        self.period_s = period_s(capture)
        try:
            self._size = first_image(capture, uri).shape
            self._settings = _read_back(capture, uri, asked)
        except InputError:
            capture.release()
            raise

    def read(self) -> Frame:
        self._grab_fresh()
        captured_ns = time.monotonic_ns()
        there, image = self._capture.retrieve()
        if not there:
            raise CameraFault(f"camera {self._uri.shown}: a frame could not be decoded")
        if image.shape != self._size:
            raise CameraFault(f"camera {self._uri.shown}: the size of its frames has changed")
        frame = Frame(as_uint8(image), self._frame_id, str(self._frame_id), captured_ns)
        self._frame_id += 1
        return frame

    def _grab_fresh(self) -> None:
        for _ in range(MOST_STALE):
            began = time.monotonic()
            if not self._capture.grab():
                raise CameraFault(
                    f"camera {self._uri.shown}: no frame: check its power, cable and network"
                )
            if time.monotonic() - began >= FRESH_SHARE * self.period_s:
                return
        raise CameraFault(f"camera {self._uri.shown}: its frames never catch up with the present")

    def settings(self) -> Settings:
        height, width = self._size[:2]
        return {**self._settings, "scheme": self._uri.scheme, "width": width, "height": height}

    def close(self) -> None:
        self._capture.release()


def open_video(uri: CameraUri) -> Camera:
    """A camera for `file:///video.mp4?rate=25&loop=false`; raises InputError."""
    return VideoFile(uri, uri.options(VideoOptions))


def open_v4l2(uri: CameraUri) -> Camera:
    """A camera for `v4l2:///dev/video0?width=1280&height=720&fps=30&exposure=157`.

    Raises:
        InputError: it does not open, gives no frame, or does not take a setting.
    """
    options = uri.options(V4l2Options)
    path = Path(uri.local_path())
    if not path.exists():
        raise InputError(f"camera {uri.shown}: there is no such device: is it plugged in?")
    asked: Settings = options.model_dump(exclude_none=True)
    # No time-outs: V4L2 knows none, and refuses to open when given any. The capture process is
    # killed when it hangs.
    capture = open(uri, str(path), cv2.CAP_V4L2, [])
    # The oldest frame in a short queue is young.
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    if options.exposure is not None:
        capture.set(cv2.CAP_PROP_AUTO_EXPOSURE, MANUAL_EXPOSURE)
    if options.white_balance is not None:
        capture.set(cv2.CAP_PROP_AUTO_WB, 0)
    for name, value in asked.items():
        capture.set(PROPERTIES[name], float(value))
    return LiveCamera(uri, capture, asked)


def open_rtsp(uri: CameraUri) -> Camera:
    """A camera for `rtsp://user:password@host/path`; raises InputError.

    What follows a `?` is the camera's own and goes to it unread.
    """
    params = [
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
        OPEN_TIMEOUT_MS,
        cv2.CAP_PROP_READ_TIMEOUT_MSEC,
        READ_TIMEOUT_MS,
    ]
    return LiveCamera(uri, open(uri, uri.text, cv2.CAP_FFMPEG, params), {})


def open_capture(uri: CameraUri, source: str, backend: int, params: list[int]) -> cv2.VideoCapture:
    # FFmpeg prints addresses, and with them passwords.
    os.environ["OPENCV_FFMPEG_LOGLEVEL"] = "-8"
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(0)
    try:
        capture = cv2.VideoCapture(source, backend, params)
    finally:
        cv2.utils.logging.setLogLevel(level)
    if not capture.isOpened():
        raise InputError(
            f"camera {uri.shown} does not open: check that it is there, that nothing else uses "
            "it, and that this user may"
        )
    return capture


def first_image(capture: cv2.VideoCapture, uri: CameraUri) -> NDArray[np.uint8]:
    there, image = capture.read()
    if not there:
        capture.release()
        raise InputError(f"camera {uri.shown} opens but gives no frame: check its signal or format")
    return as_uint8(image)


def as_uint8(image: NDArray[np.uint8] | cv2.typing.MatLike) -> NDArray[np.uint8]:
    return np.asarray(image, np.uint8)


def period_s(capture: cv2.VideoCapture) -> float:
    fps = capture.get(cv2.CAP_PROP_FPS)
    # Network cameras report their clock rate (90000) or nothing.
    return 1 / fps if 0 < fps <= 1000 else USUAL_PERIOD_S
