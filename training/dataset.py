"""The images of one product: which are good, which are defective, and where.

Two layouts are read. A plain folder holds images of good parts. An MVTec-AD folder holds

    train/good/*                          images of good parts
    test/good/*                           good parts that training never sees
    test/<kind>/*                         defective parts, by kind of defect
    ground_truth/<kind>/<stem>_mask.png   where the defect is (0 and 255)
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from training.errors import InputError
from training.images import (
    MASK_LEVEL,
    list_images,
    read_image,
    read_mask,
    resize_image,
    resize_mask,
)

GOOD = "good"
MINIMUM_IMAGES = 8


@dataclass(frozen=True)
class LabelledImage:
    """A test image: `kind` is "good" or the kind of its defect; good images have no mask.

    A defective image has none either where the data set has no ground truth at all. Pixels of the
    mask from `mask_level` on are defective: half way where masks hold 0 and 255, 1 where they
    hold numbers of classes.
    """

    path: Path
    kind: str
    mask_path: Path | None
    mask_level: int = MASK_LEVEL

    @property
    def defective(self) -> bool:
        return self.kind != GOOD


@dataclass(frozen=True)
class Dataset:
    """Good images to learn from, and labelled ones to judge by (none in a plain folder)."""

    train_good: list[Path]
    test: list[LabelledImage]


def read_dataset(root: Path) -> Dataset:
    """Find the images below `root`, in sorted order; none is opened yet.

    Raises InputError where the folder is missing, holds neither `train/good` nor images, holds
    fewer than 8 good images, or lacks the mask of a defective image while others have theirs.
    """
    if not root.is_dir():
        raise InputError(f"{root} is not a folder: give a folder of images of good parts")
    folder = root / "train" / GOOD
    folder = folder if folder.is_dir() else root
    train_good = list_images(folder)
    if not train_good:
        wanted = "images" if folder != root else f"train/{GOOD} nor images"
        raise InputError(f"{folder} holds no {wanted}: put images of good parts there")
    if len(train_good) < MINIMUM_IMAGES:
        raise InputError(
            f"{folder} holds {len(train_good)} images of good parts: training needs at least "
            f"{MINIMUM_IMAGES}, and some hundreds to be of use"
        )
    return Dataset(train_good, _labelled_images(root) if folder != root else [])


def load_labelled_images(
    items: Sequence[LabelledImage], size: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Read test images and masks at `size` (height, width).

    Returns uint8 [N, H, W, 3] BGR and bool [N, H, W], true where defective (nowhere in an image
    without a mask). Raises InputError where a file cannot be read, or a mask has another size
    than its image.
    """
    images = np.empty((len(items), *size, 3), np.uint8)
    masks = np.zeros((len(items), *size), bool)
    for index, item in enumerate(tqdm(items, desc="reading test images", disable=None)):
        image = read_image(item.path)
        images[index] = resize_image(image, size)
        if item.mask_path is not None:
            mask = read_mask(item.mask_path, image.shape[:2], item.mask_level)
            masks[index] = resize_mask(mask, size)
    return images, masks


def data_digest(paths: Iterable[Path]) -> str:
    """sha256 in hex over the names and bytes of the files, whatever their order and folder."""
    digest = hashlib.sha256()
    for path in sorted(paths, key=lambda path: path.name):
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def split_normals(
    paths: Sequence[Path], seed: int, fraction: float = 0.1
) -> tuple[list[Path], list[Path]]:
    """Good images to train on, and the `fraction` held out to choose the checkpoint with.

    A hash of seed and file name decides, so neither the order nor the folder matters, and adding
    images moves few of the others across. At least one image lands on each side.
    """
    held = min(max(round(fraction * len(paths)), 1), len(paths) - 1)
    ranked = sorted(paths, key=lambda path: hashlib.sha256(f"{seed}/{path.name}".encode()).digest())
    return sorted(ranked[held:]), sorted(ranked[:held])


def _labelled_images(root: Path) -> list[LabelledImage]:
    has_masks = (root / "ground_truth").is_dir()
    items = []
    for folder in sorted(path for path in (root / "test").glob("*") if path.is_dir()):
        for path in list_images(folder):
            mask = None
            if folder.name != GOOD and has_masks:
                mask = root / "ground_truth" / folder.name / f"{path.stem}_mask.png"
                if not mask.is_file():
                    raise InputError(f"{path} shows a defect and has no mask: expected {mask}")
            items.append(LabelledImage(path, folder.name, mask))
    return items
