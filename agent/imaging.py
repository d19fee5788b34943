"""Images on their way to the model: read whole, cut to the region of interest, resized once.

Calibration, evaluation and the station all prepare frames through `to_model_frame`, so that a
threshold holds for exactly the pixels that it was taken from.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from agent.errors import InputError

# OpenCV 5 moved its log level; 4 has it at the top.
CV_LOGGING: Any = getattr(cv2.utils, "logging", cv2)

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})


class Roi(BaseModel):
    """A rectangle in camera pixels."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    x: int = Field(ge=0)
    y: int = Field(ge=0)
    width: int = Field(gt=0)
    height: int = Field(gt=0)


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read an image file as uint8 [H, W, 3] BGR; 16-bit images keep their upper eight bits.

    Raises:
        InputError: the file is missing, is no image, or ends before its last pixel.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the image {path}: {error.strerror}") from error
    if _ends_early(data):
        raise InputError(f"the image {path} is cut short: copy it again or remove it")
    level = CV_LOGGING.getLogLevel()
    # What OpenCV would print is said in the InputError below.
    CV_LOGGING.setLogLevel(0)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    except cv2.error:
        image = None
    finally:
        CV_LOGGING.setLogLevel(level)
    if image is None:
        raise InputError(f"{path} is not an image that can be read: replace or remove it")
    return _to_bgr8(image, str(path))


def list_images(folder: Path) -> list[Path]:
    """Every image file below `folder`, in sorted order.

    Raises:
        InputError: the folder is missing, or holds no image.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder: give a folder of images")
    images = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if not images:
        kinds = ", ".join(sorted(suffix[1:] for suffix in SUFFIXES))
        raise InputError(f"{folder} holds no images (looked for {kinds})")
    return images


def to_model_frame(
    image: NDArray[Any], input_size: tuple[int, int], roi: Roi | None = None
) -> NDArray[np.uint8]:
    """Cut and resize a camera image to what the graph takes.

    Args:
        image: uint8 or uint16, [H, W], [H, W, 1] or [H, W, 3] BGR. uint16 loses its lower byte:
            scaling by the values found would make the same grey level mean different things.
        input_size: (height, width) of the model.
        roi: the part of the image to inspect; the whole image when None.

    Returns:
        uint8 [height, width, 3] BGR, C-contiguous.

    Raises:
        InputError: another shape or dtype, or a region of interest outside the image.
    """
    frame: NDArray[Any] = _to_bgr8(image, "the image")
    height, width = frame.shape[:2]
    if roi is not None:
        if roi.x + roi.width > width or roi.y + roi.height > height:
            raise InputError(
                f"the region of interest ({roi.width}x{roi.height} at {roi.x},{roi.y}) leaves the "
                f"{width}x{height} image: the camera is set differently from the training images"
            )
        frame = frame[roi.y : roi.y + roi.height, roi.x : roi.x + roi.width]
        height, width = frame.shape[:2]
    if (height, width) != input_size:
        shrinks = height >= input_size[0] and width >= input_size[1]
        method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        frame = cv2.resize(frame, (input_size[1], input_size[0]), interpolation=method)
    return np.ascontiguousarray(frame)


def _to_bgr8(image: NDArray[Any], what: str) -> NDArray[np.uint8]:
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    grey = image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 1)
    if image.dtype != np.uint8 or 0 in image.shape or not (grey or image.shape[2:] == (3,)):
        raise InputError(
            f"{what} is {image.dtype} {list(image.shape)}: "
            "expected 8 or 16 bits a channel, grey or BGR"
        )
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if grey else image, np.uint8)


def _ends_early(data: bytes) -> bool:
    """Whether a JPEG or PNG lacks its end: decoders fill what is missing with grey, silently."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return b"IEND\xaeB`\x82" not in data[-4096:]
    if not data.startswith(b"\xff\xd8"):
        return False
    position = 2
    # Up to the start of scan, segments carry their length. A thumbnail among them has an end of
    # its own, which must not count; after that, FF D9 can only be the end of the image.
    while position + 4 <= len(data) and data[position] == 0xFF:
        if data[position + 1] == 0xDA:
            return data.find(b"\xff\xd9", position) < 0
        if data[position + 1] == 0xFF:  # a fill byte
            position += 1
        else:
            position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return True
