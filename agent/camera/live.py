"""Cameras that show the world as it goes by, through OpenCV.

What OpenCV does not do is done here: no stale frames after a stall, none that is damaged, and none
of another size.
"""

from __future__ import annotations

import resource
import time

import cv2

from agent.camera import decoder
from agent.camera.base import Camera, CameraFault, Frame, Settings
from agent.camera.opencv import as_uint8, first_image, told_period_s
from agent.camera.properties import read_back
from agent.camera.rate import measured_period_s
from agent.camera.uri import CameraUri
from agent.errors import InputError

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
# FFmpeg's name for a picture that is told as the change since others.
CHANGES = (ord("P"), ord("B"))


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
            self._settings = read_back(capture, uri, asked)
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
