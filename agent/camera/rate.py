"""The rate of a camera that does not tell it."""

from __future__ import annotations

import time
from bisect import bisect_left
from itertools import accumulate
from typing import NamedTuple

import cv2

from agent.camera.uri import CameraUri
from agent.errors import InputError

# The camera is watched for so long, and until so many waits agree.
MEASURED_S, LONGEST_MEASURED_S = 1.0, 3.0
AGREEING = 3
# Waits agree up to this ratio.
ALIKE = 1.5


class _Alike(NamedTuple):
    """Waits that are about as long as the longest of them."""

    longest_s: float
    size: int
    total_s: float


def measured_period_s(capture: cv2.VideoCapture, uri: CameraUri) -> float:
    """Seconds between two frames.

    The longest wait that is no chance: frames that were in a buffer come at once, however many
    they are, and one that is late is alone. Where no waits agree for long, the longest of those
    that together took the most time.

    Raises:
        InputError: the camera stops giving frames.
    """
    waits: list[float] = []
    began = time.monotonic()
    while True:
        before = time.monotonic()
        if not capture.grab():
            raise InputError(f"camera {uri.shown} stops giving frames: check its signal")
        now = time.monotonic()
        waits.append(now - before)
        took_s = now - began
        if took_s < MEASURED_S:
            continue
        groups = _alike(waits)
        agreeing = [group for group in groups if group.size >= AGREEING]
        usual = [group for group in agreeing if group.total_s >= took_s / 3]
        if usual:
            return usual[-1].longest_s
        if took_s >= LONGEST_MEASURED_S:
            return max(agreeing or groups, key=lambda group: group.total_s).longest_s


def _alike(waits: list[float]) -> list[_Alike]:
    """Of each wait those that are about as long, and no longer; by their length."""
    ordered = sorted(waits)
    until_s = [0.0, *accumulate(ordered)]
    groups = []
    for end, wait in enumerate(ordered, 1):
        begin = bisect_left(ordered, wait / ALIKE)
        groups.append(_Alike(wait, end - begin, until_s[end] - until_s[begin]))
    return groups
