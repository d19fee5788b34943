"""Opening and reading through OpenCV, with its silences and its chatter dealt with."""

from __future__ import annotations

import os

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.camera import decoder
from agent.camera.uri import CameraUri
from agent.errors import InputError
from agent.imagefile import quiet


def open_capture(uri: CameraUri, source: str, backend: int, params: list[int]) -> cv2.VideoCapture:
    """Open `source` with one backend of OpenCV; raises InputError, without the source's secrets."""
    # FFmpeg prints addresses, and with them passwords.
    os.environ["OPENCV_FFMPEG_LOGLEVEL"] = decoder.ffmpeg_level()
    if backend == cv2.CAP_FFMPEG:
        # With n threads it hands over a picture that n - 1 others have followed.
        params = [*params, cv2.CAP_PROP_N_THREADS, 1]
    with quiet():
        capture = cv2.VideoCapture(source, backend, params)
    if not capture.isOpened():
        raise InputError(
            f"camera {uri.shown} does not open: check that it is there, that nothing else uses "
            "it, and that this user may (over a network: that the service was let through with "
            "--allow-network)"
        )
    return capture


def first_image(capture: cv2.VideoCapture, uri: CameraUri) -> NDArray[np.uint8]:
    """Read one image, as what opens does not always deliver; raises InputError."""
    there, image = capture.read()
    if not there:
        capture.release()
        raise InputError(f"camera {uri.shown} opens but gives no frame: check its signal or format")
    return as_uint8(image)


def as_uint8(image: NDArray[np.uint8] | cv2.typing.MatLike) -> NDArray[np.uint8]:
    """OpenCV's matrix as the array that it is."""
    return np.asarray(image, np.uint8)


def told_period_s(capture: cv2.VideoCapture) -> float | None:
    """Seconds between two frames, as the source tells; None where it does not."""
    fps = capture.get(cv2.CAP_PROP_FPS)
    # Network cameras report their clock rate (90000) or nothing.
    return 1 / fps if 0 < fps <= 1000 else None
