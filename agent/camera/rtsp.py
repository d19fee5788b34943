"""Network cameras (RTSP)."""

from __future__ import annotations

import os

import cv2

from agent.camera.base import Camera
from agent.camera.live import LiveCamera
from agent.camera.opencv import open_capture
from agent.camera.uri import CameraUri
from agent.errors import InputError

OPEN_TIMEOUT_MS = 5000
READ_TIMEOUT_MS = 1500


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
