"""Settings of a camera through OpenCV: asked for, and read back.

Drivers round and ignore what they are asked.
"""

from __future__ import annotations

import cv2

from agent.camera.base import Settings
from agent.camera.uri import CameraUri
from agent.errors import InputError

# Drivers round to what the sensor can do; a request is met within this share of it.
READ_BACK_TOLERANCE = 0.02
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


def ask(capture: cv2.VideoCapture, asked: Settings) -> None:
    """Set what is asked for; whether it was taken, `read_back` finds out."""
    for name, value in asked.items():
        capture.set(PROPERTIES[name], _number(value))


def pixel_format(capture: cv2.VideoCapture) -> str:
    """The four letters of the format in which the pixels are sent."""
    return _shown("format", capture.get(PROPERTIES["format"]))


def read_back(capture: cv2.VideoCapture, uri: CameraUri, asked: Settings) -> Settings:
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
