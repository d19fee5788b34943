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
from training.imagefile import check_file, check_opaque, decode

# Half way: masks that were saved as JPEG carry faint noise around black and white.
MASK_LEVEL = 128
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
# So begin folders that systems keep for thumbnails and for what was thrown away.
SYSTEM = (".", "$", "@", "#recycle")


def list_images(folder: Path) -> list[Path]:
    """The image files in `folder` itself, sorted; empty where the folder is missing.

    Hidden ones (`.name`) are left out.

    Raises InputError where one is a link to nothing, or its path is not UTF-8 or not of one line:
    lists and records could not hold it.
    """
    if not folder.is_dir():
        return []
    found = sorted(path for path in folder.iterdir() if _is_image(path))
    for path in found:
        whole = str(path.resolve())
        try:
            whole.encode()
        except UnicodeEncodeError as error:
            raise InputError(f"the name of {whole!a} is not UTF-8: rename it") from error
        if len(whole.splitlines()) > 1:
            raise InputError(f"the name of {whole!a} has a line break in it: rename it")
    return found


def subfolders(folder: Path) -> list[Path]:
    """The folders in `folder`, also by links, sorted; not those that a system keeps for itself.

    Raises InputError where one is a link to nothing.
    """
    if not folder.is_dir():
        return []
    found = (path for path in folder.iterdir() if not path.name.startswith(SYSTEM))
    return sorted(path for path in found if _is_there(path) and path.is_dir())


def subfolders_with_images(folder: Path) -> list[Path]:
    """Those of `subfolders` that hold images, on whatever level."""
    return [
        each
        for each in subfolders(folder)
        if any(path.suffix.lower() in SUFFIXES for path in each.rglob("*"))
    ]


def read_image(path: Path) -> NDArray[Any]:
    """Read an image as uint8 or uint16 [H, W, 3] BGR; grey becomes three equal channels.

    Raises InputError where the file is missing, is no image, not whole, one of several pictures or
    transparent in places.
    """
    data = _read(path)
    image = decode(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH, str(path))
    if image.dtype not in (np.uint8, np.uint16):
        raise InputError(f"{path} holds {image.dtype} pixels: convert it to 8 or 16 bits")
    check_opaque(data, str(path))
    return image


def read_mask(
    path: Path, image_size: tuple[int, int] | None, level: int = MASK_LEVEL
) -> NDArray[np.bool_]:
    """Read the mask of an image of `image_size` (height, width): bool [H, W], true from `level` on.

    Raises InputError where the file is missing, is no image, not whole or marks nothing, and where
    the mask has another size than the image; None: any size will do.
    """
    data = _read(path)
    mask = decode(data, cv2.IMREAD_GRAYSCALE, str(path))
    if image_size is not None and mask.shape != image_size:
        raise InputError(
            f"the mask {path} is {mask.shape[1]}x{mask.shape[0]} pixels, "
            f"its image {image_size[1]}x{image_size[0]}: they must be of one size"
        )
    marked = mask >= level
    if not marked.any():
        drawn = decode(data, cv2.IMREAD_UNCHANGED, str(path))
        found = "is of one colour" if (drawn == drawn[0, 0]).all() else "is drawn, but not in white"
        raise InputError(
            f"the mask {path} marks nothing: it {found}; paint what it marks white (255) on black"
        )
    return marked


def is_grey(images: NDArray[np.uint8]) -> bool:
    """Whether all colours of images [..., 3] are the same."""
    return bool((images == images[..., :1]).all())


def resize_image(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize uint8 [h, w, 3] to `size` (height, width), as the station does.

    Every pixel counts alike: a side is halved for as long as it is twice as long as wanted; what is
    still longer is averaged over areas.
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
    """What `resize_image` shows of an image of `shape`, in its pixels, (height, width) each.

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


def _is_image(path: Path) -> bool:
    named = path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    return named and _is_there(path) and path.is_file()


def _is_there(path: Path) -> bool:
    """True; InputError where it is a link to what is gone."""
    if path.is_symlink() and not path.exists():
        raise InputError(f"{path} is a link to nothing: mend or remove it")
    return True


def _read(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    check_file(data, str(path))
    return data


def some(images: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    """At most `count` of images [N, …], the same every time (`drawn`)."""
    return images if count >= len(images) else images[drawn(len(images), count)]


def drawn(total: int, count: int) -> NDArray[np.intp]:
    """At most `count` numbers below `total`, ascending, the same every time.

    Drawn, not counted off: the tiles of an image stand side by side, as do the pictures of a part,
    and every fourth of four is the same corner, or the same light.
    """
    return np.sort(np.random.default_rng(0).permutation(total)[:count])
