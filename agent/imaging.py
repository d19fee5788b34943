"""Images: read whole or refused, brought to 8 bits and BGR, resized.

How they are put together is the view's business (`agent.view`).
"""

from __future__ import annotations

import base64
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from agent.errors import InputError
from agent.imagefile import PNG, check_file, check_opaque, decode

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
# So begin folders that systems keep for thumbnails and for what was thrown away.
SYSTEM = (".", "$", "@", "#recycle")


class Roi(BaseModel):
    """A rectangle in camera pixels."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    x: int = Field(ge=0)
    y: int = Field(ge=0)
    width: int = Field(gt=0)
    height: int = Field(gt=0)


def read_image(path: Path) -> NDArray[Any]:
    """Read an image file as uint8 or uint16 [H, W, 3] BGR; grey becomes three equal channels.

    Raises:
        InputError: the file is missing, is no image, not whole, one of several pictures or
            transparent in places.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the image {path}: {error.strerror}") from error
    check_file(data, str(path))
    image = decode(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH, str(path))
    check_image(image, str(path))
    check_opaque(data, str(path))
    return image


def list_images(folder: Path) -> list[Path]:
    """Every image file below `folder`, in sorted order.

    Hidden ones are left out, and those in folders that a system keeps for itself.

    Raises:
        InputError: the folder is missing, holds no image, a link to a folder or to nothing, or an
            image whose name is not UTF-8: it could stand in no record and no verdict.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder: give a folder of images")
    found = [path for path in folder.rglob("*") if not _is_hidden(path.relative_to(folder))]
    for path in found:
        if path.is_symlink() and not path.is_file():
            raise InputError(
                f"{path} is a link to a folder or to nothing, and links are not followed: put the "
                "images themselves there, or remove it"
            )
    images = sorted(p for p in found if p.suffix.lower() in SUFFIXES and p.is_file())
    if not images:
        kinds = ", ".join(sorted(suffix[1:] for suffix in SUFFIXES))
        raise InputError(f"{folder} holds no images (looked for {kinds})")
    for path in images:
        try:
            str(path).encode()
        except UnicodeEncodeError as error:
            raise InputError(f"the name of {str(path)!a} is not UTF-8: rename it") from error
    return images


def decode_mask(data: bytes, what: str) -> NDArray[np.bool_]:
    """A mask from the bytes of an image file: bool [H, W], true where it is white.

    Raises:
        InputError: no image.
    """
    return decode(data, cv2.IMREAD_GRAYSCALE, what) >= 128


def decode_grey(text: str, size: tuple[int, int]) -> NDArray[np.uint8] | None:
    """A small grey picture uint8 of `size` (height, width) from the base64 text of a PNG.

    None where the text is anything else; a larger picture is not unpacked to find that out.
    """
    try:
        data = base64.b64decode(text, validate=True)
        if _png_size(data) != size:
            return None
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    except (ValueError, cv2.error):
        return None
    return None if image is None else np.asarray(image, np.uint8)


def check_image(image: NDArray[Any], what: str) -> None:
    """Refuse what is no uint8 or uint16 image, [H, W], [H, W, 1] or [H, W, 3].

    Raises:
        InputError: another shape or dtype.
    """
    channels = image.shape[2] if image.ndim == 3 else 1
    known = image.dtype in (np.uint8, np.uint16) and image.ndim in (2, 3) and channels in (1, 3)
    if not known or 0 in image.shape:
        raise InputError(
            f"{what} is {image.dtype} {list(image.shape)}: "
            "expected 8 or 16 bits a channel, grey or BGR"
        )


def to_bgr8(image: NDArray[Any], window: tuple[int, int] | None, name: str) -> NDArray[np.uint8]:
    """An image as uint8 [H, W, 3] BGR.

    Args:
        image: uint8 or uint16, [H, W], [H, W, 1] or [H, W, 3] BGR.
        window: levels of a 16-bit image that become 0 and 255, what lies outside is cut off; None
            for 8-bit images, which stay as they are. Stretched by the levels found in each image,
            one grey would mean something else in every image.
        name: of the image, for the error.

    Raises:
        InputError: 16 bits without a window, or 8 bits with one.
    """
    if (image.dtype == np.uint16) != (window is not None):
        found, expected = (16, 8) if window is None else (8, 16)
        raise InputError(
            f"{name} has {found} bits a channel, the training images had {expected}: "
            "set the camera as it was"
        )
    if window is not None:
        image = _levels(*window).take(image)
    grey = image.ndim == 2 or image.shape[2] == 1
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if grey else image, np.uint8)


def is_grey(image: NDArray[np.uint8]) -> bool:
    """Whether the colours of uint8 [H, W, 3] are all the same."""
    blue, green, red = cv2.split(image)
    return all(cv2.norm(blue, other, cv2.NORM_INF) == 0 for other in (green, red))


def resize(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize uint8 [h, w, 3] to `size` (height, width).

    A side is halved for as long as it is twice as long as wanted; what is still longer is averaged
    over areas. Every pixel counts alike, at a fraction of what that takes for a large picture.
    """
    while image.shape[:2] != size:
        finer = [side >= 2 * wanted for side, wanted in zip(image.shape[:2], size, strict=True)]
        if any(finer):
            image = halve(image, *finer)
            continue
        # Each in its turn: averaged over areas is only what shrinks on both sides.
        shrunk = min(image.shape[0], size[0]), min(image.shape[1], size[1])
        if image.shape[:2] != shrunk:
            small = cv2.resize(image, shrunk[::-1], interpolation=cv2.INTER_AREA)
            image = np.asarray(small, np.uint8)
        else:
            large = cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR)
            image = np.asarray(large, np.uint8)
    return np.ascontiguousarray(image)


def covered(shape: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """What `resize` to `size` shows of an image of `shape`, in its pixels, (height, width) each.

    More than all of it where a side is odd when it is halved: its last pixels show twice.
    """
    height, width = (_covered(*sides) for sides in zip(shape, size, strict=True))
    return height, width


def _covered(side: int, wanted: int) -> int:
    return side if side < 2 * wanted else 2 * _covered((side + 1) // 2, wanted)


def halve(image: NDArray[np.uint8], rows: bool, columns: bool) -> NDArray[np.uint8]:
    """Uint8 [h, w, 3] with half as many rows, or columns: each the mean of two.

    The last of an odd number counts twice.
    """
    below, beside = image.shape[0] * rows % 2, image.shape[1] * columns % 2
    if below or beside:
        padded = cv2.copyMakeBorder(image, 0, below, 0, beside, cv2.BORDER_REPLICATE)
        image = np.asarray(padded, np.uint8)
    size = image.shape[1] >> columns, image.shape[0] >> rows
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def _is_hidden(path: Path) -> bool:
    *folders, name = path.parts
    return name.startswith(".") or any(folder.startswith(SYSTEM) for folder in folders)


@lru_cache(maxsize=2)
def _levels(low: int, high: int) -> NDArray[np.uint8]:
    """What each of the 65,536 levels becomes."""
    levels = (np.arange(1 << 16) - low) * 255 / (high - low)
    return np.clip(np.round(levels), 0, 255).astype(np.uint8)


def _png_size(data: bytes) -> tuple[int, int] | None:
    """(height, width) as a PNG's first chunk tells; None of what is no PNG."""
    if not data.startswith(PNG) or data[12:16] != b"IHDR":
        return None
    return int.from_bytes(data[20:24], "big"), int.from_bytes(data[16:20], "big")
