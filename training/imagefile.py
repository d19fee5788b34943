"""The bytes of an image file become one picture, whole, or are refused.

This file lies in `agent` and in `training`, the same but for one import: either installs without
the other, and a test compares the two.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from training.errors import InputError

# OpenCV 5 moved its log level; 4 has it at the top.
CV_LOGGING: Any = getattr(cv2.utils, "logging", cv2)

JPEG, PNG, BMP = b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"BM"
# By the version of a TIFF, the bytes of an offset, of a count and of an entry.
TIFF_SIZES = {42: (4, 2, 12), 43: (8, 8, 20)}
# What libjpeg prints of data that it made something of. Some cameras pad with a few bytes.
DAMAGE = re.compile(rb"Corrupt JPEG data: (?!\d{1,2} extraneous bytes)|Premature end of JPEG file")


@contextmanager
def quiet() -> Iterator[None]:
    """Let OpenCV print nothing meanwhile."""
    level = CV_LOGGING.getLogLevel()
    CV_LOGGING.setLogLevel(0)
    try:
        yield
    finally:
        CV_LOGGING.setLogLevel(level)


def check_file(data: bytes, what: str) -> None:
    """Refuse a file that decoders take for whole, or for one picture, though it is not.

    Raises:
        InputError: the end of a JPEG or PNG is missing, or a TIFF holds several pictures.
    """
    if _ends_early(data):
        raise InputError(f"{what} is cut short: copy it again or remove it")
    if _has_second_picture(data):
        raise InputError(f"{what} holds several pictures: save each in a file of its own")


def decode(data: bytes, flags: int, what: str) -> NDArray[Any]:
    """The picture in a file, as OpenCV's `flags` ask for it.

    Raises:
        InputError: no image, or a JPEG that is damaged.
    """
    image, printed = None, b""
    try:
        # What OpenCV would print is said in the InputError below.
        with quiet():
            if data.startswith(JPEG):
                image, printed = _heard(data, flags)
            else:
                image = _decoded(data, flags)
    except cv2.error:  # an empty file, or a header that asks for too many pixels
        image = None
    if image is None:
        raise InputError(
            f"{what} is not an image that can be read: replace it by one of 8 or 16 bits a "
            "channel, or remove it"
        )
    if DAMAGE.search(printed):
        raise InputError(f"{what} is damaged: copy it again or remove it")
    return np.asarray(image)


def check_opaque(data: bytes, what: str) -> None:
    """Refuse a picture of 8 or 16 bits that can be seen through.

    What lies under its transparent pixels is shown of a PNG, and black of a TIFF or WebP.

    Raises:
        InputError: some pixel is not opaque.
    """
    # The fourth channel of a BMP is no transparency.
    if data.startswith((JPEG, BMP)):
        return
    # Colour types 4 and 6 of PNG have transparency, others a chunk of it.
    header = data[: data.find(b"IDAT")]
    if data.startswith(PNG) and header[25] not in (4, 6) and b"tRNS" not in header:
        return
    image = decode(data, cv2.IMREAD_UNCHANGED, what)
    has_alpha = image.ndim == 3 and image.shape[2] == 4
    if has_alpha and image[..., 3].min() < np.iinfo(image.dtype).max:
        raise InputError(f"{what} is transparent in places: save it without transparency")


def _decoded(data: bytes, flags: int) -> NDArray[Any] | None:
    return cv2.imdecode(np.frombuffer(data, np.uint8), flags)


def _heard(data: bytes, flags: int) -> tuple[NDArray[Any] | None, bytes]:
    """The picture, and what the decoder prints meanwhile: its only word about damage.

    For one thread at a time: what others print meanwhile is heard too.
    """
    stderr = os.dup(2)
    # Never waiting: what comes when the pipe is full is lost.
    reading, printed = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    os.dup2(printed, 2)
    try:
        image = _decoded(data, flags)
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(printed)
        with os.fdopen(reading, "rb") as heard:
            said = heard.read() or b""
    return image, said


def _has_second_picture(data: bytes) -> bool:
    """Whether another directory follows a TIFF's first: decoders look at the first alone."""
    if data[:2] not in (b"II", b"MM"):
        return False

    def number(position: int, size: int) -> int:
        field = data[position : position + size]
        return int.from_bytes(field, "little" if data.startswith(b"II") else "big")

    version = number(2, 2)
    if version not in TIFF_SIZES:
        return False
    offset, count, entry = TIFF_SIZES[version]
    first = number(offset, offset)
    return number(first + count + number(first, count) * entry, offset) != 0


def _ends_early(data: bytes) -> bool:
    """Whether a JPEG or PNG lacks its end: decoders fill what is missing with grey, silently."""
    if data.startswith(PNG):
        return b"IEND\xaeB`\x82" not in data
    if not data.startswith(JPEG):
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
