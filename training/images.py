"""Images and masks from disk, at the size of the model.

The agent prepares its frames the same way; the two stages share no code so that either installs
without the other, and a test holds them together.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from training.errors import InputError

# Half way: masks that were saved as JPEG carry faint noise around black and white.
MASK_LEVEL = 128
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})


def list_images(folder: Path) -> list[Path]:
    """The image files in `folder` itself, sorted; empty where the folder is missing."""
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read an image as uint8 [H, W, 3] BGR; 16-bit images keep their upper eight bits.

    Raises InputError where the file is missing, is no image or ends before its last pixel.
    """
    image = _decode(path, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    if image.dtype == np.uint16:
        return (image >> 8).astype(np.uint8)
    if image.dtype != np.uint8:
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


def resize_image(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize uint8 [h, w, 3] to `size` (height, width), averaging where it shrinks."""
    height, width = image.shape[:2]
    if (height, width) == size:
        return image
    shrinks = height >= size[0] and width >= size[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (size[1], size[0]), interpolation=method), np.uint8)


def resize_mask(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Resize bool [h, w] to `size` (height, width): the nearest pixel decides."""
    nearest = cv2.INTER_NEAREST_EXACT
    return cv2.resize(mask.astype(np.uint8), (size[1], size[0]), interpolation=nearest).astype(bool)


def load_images(paths: Sequence[Path], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Read images to learn from: uint8 [N, H, W, 3] BGR at `size` (height, width).

    Raises InputError as `read_image` does, and where an image is of one colour throughout: it
    shows no part, and a model that learns it takes a dead camera for a good part.
    """
    images = np.empty((len(paths), *size, 3), np.uint8)
    for index, path in enumerate(tqdm(paths, desc="reading images", disable=None)):
        image = read_image(path)
        if (image == image[0, 0]).all():
            raise InputError(f"{path} is of one colour throughout and shows no part: remove it")
        images[index] = resize_image(image, size)
    return images


def _decode(path: Path, flags: int) -> NDArray[Any]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    if _is_cut_short(data):
        raise InputError(f"the image {path} is cut short: copy it again or remove it")
    try:
        # Not imread, which fills the missing part of a truncated JPEG with grey, silently.
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:  # an empty file, or a header that asks for too many pixels
        image = None
    if image is None:
        raise InputError(f"{path} is not an image that can be read: replace or remove it")
    return image


def _is_cut_short(data: bytes) -> bool:
    """Whether a JPEG's last scan (FF DA) has no end of image (FF D9) after it.

    OpenCV 4.10 decodes such a file as if it were whole; of other formats it notices. A thumbnail
    in the header has both markers, and both come before the scan of the image itself.
    """
    return data.startswith(b"\xff\xd8") and data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda")
