"""Images and masks from disk, whole or refused, and their resampling.

The agent reads and resizes the same way; the two stages share no code so that either installs
without the other, and a test holds them together.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from training.errors import InputError

# Half way: masks that were saved as JPEG carry faint noise around black and white.
MASK_LEVEL = 128
# OpenCV 5 moved its log level; 4 has it at the top.
CV_LOGGING: Any = getattr(cv2.utils, "logging", cv2)
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})


def list_images(folder: Path) -> list[Path]:
    """The image files in `folder` itself, sorted; empty where the folder is missing.

    Raises InputError where a name is not UTF-8: lists and records could not hold it.
    """
    if not folder.is_dir():
        return []
    found = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())
    for path in found:
        try:
            str(path).encode()
        except UnicodeEncodeError as error:
            raise InputError(f"the name of {str(path)!a} is not UTF-8: rename it") from error
    return found


def read_image(path: Path) -> NDArray[Any]:
    """Read an image as uint8 or uint16 [H, W, 3] BGR; grey becomes three equal channels.

    Raises InputError where the file is missing, is no image or ends before its last pixel.
    """
    image = _decode(path, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    if image.dtype not in (np.uint8, np.uint16):
        raise InputError(f"{path} holds {image.dtype} pixels: convert it to 8 or 16 bits")
    return image


def read_mask(
    path: Path, image_size: tuple[int, int], level: int = MASK_LEVEL
) -> NDArray[np.bool_]:
    """Read the mask of an image of `image_size` (height, width): bool [H, W], true from `level` on.

    Raises InputError as `read_image` does, and where the mask has another size than the image.
    """
    mask = _decode(path, cv2.IMREAD_GRAYSCALE)
    if mask.shape != image_size:
        raise InputError(
            f"the mask {path} is {mask.shape[1]}x{mask.shape[0]} pixels, "
            f"its image {image_size[1]}x{image_size[0]}: they must be of one size"
        )
    return mask >= level


def is_grey(images: NDArray[np.uint8]) -> bool:
    """Whether all colours of images [..., 3] are the same."""
    return bool((images == images[..., :1]).all())


def resize_image(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize uint8 [h, w, 3] to `size` (height, width), as the station does.

    A side is halved for as long as it is twice as long as wanted, then interpolated.
    """
    while image.shape[:2] != size:
        height, width = (
            side // 2 if side >= 2 * wanted else wanted
            for side, wanted in zip(image.shape[:2], size, strict=True)
        )
        small = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
        image = np.asarray(small, np.uint8)
    return np.ascontiguousarray(image)


def _decode(path: Path, flags: int) -> NDArray[Any]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    if _is_cut_short(data):
        raise InputError(f"the image {path} is cut short: copy it again or remove it")
    level = CV_LOGGING.getLogLevel()
    # What OpenCV would print is said in the InputError below.
    CV_LOGGING.setLogLevel(0)
    try:
        # Not imread, which fills the missing part of a truncated JPEG with grey, silently.
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:  # an empty file, or a header that asks for too many pixels
        image = None
    finally:
        CV_LOGGING.setLogLevel(level)
    if image is None:
        raise InputError(
            f"{path} is not an image that can be read: replace it by one of 8 or 16 bits a "
            "channel, or remove it"
        )
    return image


def _is_cut_short(data: bytes) -> bool:
    """Whether a JPEG's last scan (FF DA) has no end of image (FF D9) after it.

    OpenCV 4.10 decodes such a file as if it were whole; of other formats it notices. A thumbnail
    in the header has both markers, and both come before the scan of the image itself.
    """
    return data.startswith(b"\xff\xd8") and data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda")


def some(images: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    """At most `count` of images [N, …], the same every time.

    Drawn, not counted off: the tiles of an image stand side by side, and every fourth of four is
    the same corner of the part.
    """
    if count >= len(images):
        return images
    return images[np.sort(np.random.default_rng(0).permutation(len(images))[:count])]
