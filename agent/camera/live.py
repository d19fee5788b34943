"""USB cameras (V4L2) and network cameras (RTSP) through OpenCV.

What OpenCV does not do is done here: time-outs short enough for a line, settings read back
because drivers round and ignore what they are asked, and no stale frames after a stall.
"""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path

import cv2
from pydantic import Field

from agent.camera import decoder
from agent.camera.base import Camera, CameraFault, Frame, Settings
from agent.camera.opencv import as_uint8, first_image, open_capture, told_period_s
from agent.camera.rate import measured_period_s
from agent.camera.uri import CameraUri, Options
from agent.camera.uvc import shows_incomplete
from agent.errors import InputError

OPEN_TIMEOUT_MS = 5000
READ_TIMEOUT_MS = 1500
# A frame that was there before it was asked for has waited in a buffer. For a fresh one a good part
# of a period is waited; decoding it, as FFmpeg does at once, is none of that.
FRESH_SHARE = 0.25
MOST_STALE = 300
# As many as there are between two key pictures, ten seconds apart at 30 a second.
MOST_DAMAGED = 300
# A camera that does not tell its rate is not taken for lost before three times as long.
USUAL_PERIOD_S = 0.2
# V4L2 waits so long for a frame; then there was none, which is no fault where each is a part.
V4L2_WAITS_S = 10.0
# The most that OpenCV asks V4L2 for.
MOST_BUFFERS = 10
# FFmpeg's name for a picture that is told as the change since others.
CHANGES = (ord("P"), ord("B"))
# Drivers round to what the sensor can do; a request is met within this share of it.
READ_BACK_TOLERANCE = 0.02


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


# In the order they are set: a rate or a size may be there in one format alone.
PROPERTIES = {
    "format": cv2.CAP_PROP_FOURCC,
    "width": cv2.CAP_PROP_FRAME_WIDTH,
    "height": cv2.CAP_PROP_FRAME_HEIGHT,
    "fps": cv2.CAP_PROP_FPS,
    "exposure": cv2.CAP_PROP_EXPOSURE,
    "gain": cv2.CAP_PROP_GAIN,
    "white_balance": cv2.CAP_PROP_WB_TEMPERATURE,
}
# V4L2's V4L2_EXPOSURE_MANUAL; a fixed exposure is ignored while the automatic one is on.
MANUAL_EXPOSURE = 1


class LiveCamera(Camera):
    """A camera that shows the world as it goes by: every read gives a frame that is fresh.

    With `every_frame` its own trigger makes the frames: each is a part, none is passed over, and
    none is waited for when it opens.
    """

    waits = False

    def __init__(
        self,
        uri: CameraUri,
        capture: cv2.VideoCapture,
        asked: Settings,
        *,
        every_frame: bool = False,
    ) -> None:
        """capture: opened and set; asked: settings to read back."""
        self._uri = uri
        self._capture = capture
        self._frame_id = 0
        self._grab = self._grab_first if every_frame else self._grab_fresh
        try:
            if every_frame:
                self._size = _announced_size(capture, uri)
                self.period_s = self._fresh_s = 0.0
            else:
                self._size = first_image(capture, uri).shape
                _reach_a_whole_picture(capture, uri)
                told_s = told_period_s(capture)
                usual_s = told_s or measured_period_s(capture, uri)
                self.period_s = told_s or max(usual_s, USUAL_PERIOD_S)
                self._fresh_s = FRESH_SHARE * usual_s
            self._settings = _read_back(capture, uri, asked)
        except InputError:
            capture.release()
            raise

    def read(self) -> Frame:
        self._grab()
        captured_ns = time.monotonic_ns()
        there, image = self._capture.retrieve()
        if not there:
            raise CameraFault(f"camera {self._uri.shown}: a frame could not be decoded")
        damage = decoder.damage()
        if damage is not None:
            raise CameraFault(
                f"camera {self._uri.shown}: a damaged picture (the decoder says: {damage}): check "
                "its cable and network"
            )
        if image.shape != self._size:
            raise CameraFault(f"camera {self._uri.shown}: the size of its frames has changed")
        frame = Frame(as_uint8(image), self._frame_id, str(self._frame_id), captured_ns)
        self._frame_id += 1
        return frame

    def _grab_fresh(self) -> None:
        for _ in range(MOST_STALE):
            waits, began_s = _waits(), _idle_s()
            if not self._capture.grab():
                raise self._no_frame()
            # Who had to wait for a core alone was idle as well.
            if _waits() > waits and _idle_s() - began_s >= self._fresh_s:
                return
        raise CameraFault(
            f"camera {self._uri.shown}: its frames never catch up with the present: where decoding "
            "them takes most of the time between two, have it send fewer or smaller ones"
        )

    def _grab_first(self) -> None:
        # OpenCV throws the first picture away and waits for another; only when it has waited for
        # the first in vain, it gives all. It tells when its last one came.
        self._grab = self._grab_next
        there = self._capture.grab()
        self._frame_id = int(there or self._capture.get(cv2.CAP_PROP_POS_MSEC) > 0)
        if not there:
            self._grab_next()

    def _grab_next(self) -> None:
        began = time.monotonic()
        while not self._capture.grab():
            if time.monotonic() - began < V4L2_WAITS_S / 2:
                raise self._no_frame()
            began = time.monotonic()

    def _no_frame(self) -> CameraFault:
        return CameraFault(
            f"camera {self._uri.shown}: no frame: check its power, cable and network"
        )

    def settings(self) -> Settings:
        height, width = self._size[:2]
        return {**self._settings, "scheme": self._uri.scheme, "width": width, "height": height}

    def close(self) -> None:
        self._capture.release()


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
    for name, value in asked.items():
        capture.set(PROPERTIES[name], _number(value))
    taken = _shown("format", capture.get(cv2.CAP_PROP_FOURCC))
    if shows_incomplete(path, taken):
        capture.release()
        raise InputError(
            f"camera {uri.shown} sends {taken}, and of such a picture that did not come whole this "
            "kernel gives the rest of the one before: ask for format=MJPG, or have "
            "`options uvcvideo nodrop=0` in /etc/modprobe.d where the kernel still knows that"
        )
    return LiveCamera(uri, capture, asked, every_frame=every_frame)


def open_rtsp(uri: CameraUri, *, every_frame: bool = False) -> Camera:
    """A camera for `rtsp://user:password@host/path`; raises InputError, also for `every_frame`.

    What follows a `?` is the camera's own and goes to it unread.
    """
    if every_frame:
        raise InputError(
            f"camera {uri.shown} is a stream, not a picture for each part: use mode triggered "
            "or free_run"
        )
    # What UDP loses is made up from the picture before.
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "rtsp_transport;tcp"
    params = [
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
        OPEN_TIMEOUT_MS,
        cv2.CAP_PROP_READ_TIMEOUT_MSEC,
        READ_TIMEOUT_MS,
    ]
    return LiveCamera(uri, open_capture(uri, uri.text, cv2.CAP_FFMPEG, params), {})


def _idle_s() -> float:
    """A clock that stands still while this thread works."""
    return time.monotonic() - time.thread_time()


def _waits() -> int:
    """How often this thread has waited for something, a core not counted."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw


def _reach_a_whole_picture(capture: cv2.VideoCapture, uri: CameraUri) -> None:
    """Where the first picture was damaged, as with many a camera, read on to one that is not.

    Of a stream that was joined between two key pictures, the first of them is the next such one.

    Raises:
        InputError: none comes.
    """
    damage = decoder.damage()
    for _ in range(MOST_DAMAGED):
        if damage is None or not capture.read()[0]:
            return
        changes = capture.get(cv2.CAP_PROP_FRAME_TYPE) in CHANGES
        damage = decoder.damage() or (damage if changes else None)
    raise InputError(
        f"camera {uri.shown} gives damaged pictures alone (the decoder says: {damage}): check its "
        "cable and network, or have it send another format"
    )


def _announced_size(capture: cv2.VideoCapture, uri: CameraUri) -> tuple[int, ...]:
    """Of the frames to come, (height, width, 3)."""
    sides = (cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH)
    height, width = (round(capture.get(side)) for side in sides)
    if height <= 0 or width <= 0:
        raise InputError(f"camera {uri.shown} does not tell the size of its frames")
    return height, width, 3


def _read_back(capture: cv2.VideoCapture, uri: CameraUri, asked: Settings) -> Settings:
    """The settings that decide the picture as the driver has them; InputError on a mismatch."""
    found: Settings = {}
    for name, value in asked.items():
        has, wanted = capture.get(PROPERTIES[name]), _number(value)
        tolerance = 0.0 if isinstance(value, str) else READ_BACK_TOLERANCE
        if abs(has - wanted) > tolerance * wanted:
            asked_for, there = (_shown(name, each) for each in (wanted, has))
            raise InputError(
                f"camera {uri.shown}: asked for {name} {asked_for}, the camera has {there}: "
                "ask for what it supports"
            )
        if name != "fps":
            found[name] = value if isinstance(value, str) else round(has, 3)
    return found


def _number(value: str | float) -> float:
    """As OpenCV takes it: of four letters, the number that their bytes are."""
    return float(int.from_bytes(value.encode(), "little") if isinstance(value, str) else value)


def _shown(name: str, number: float) -> str:
    if name != "format":
        return f"{number:g}"
    letters = (int(number) & 0xFFFFFFFF).to_bytes(4, "little").decode("latin-1")
    return letters if letters.isascii() and letters.isprintable() else "none that it tells"
