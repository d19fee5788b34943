"""The images of one product: which are good, which are defective, and where.

Two layouts are read. A plain folder holds images of good parts. An MVTec-AD folder holds

    train/good/*                          images of good parts
    train/good/<part>/*                   several of one part, in a folder of its own
    test/good/*                           good parts that training never sees
    test/<kind>/*                         defective parts, by kind of defect
    ground_truth/<kind>/<stem>_mask.png   where the defect is (0 and 255)
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from training.errors import InputError
from training.images import (
    MASK_LEVEL,
    list_images,
    read_image,
    read_mask,
    subfolders,
    subfolders_with_images,
)
from training.shared import shared_array
from training.split import group_by_part

GOOD = "good"
MINIMUM_IMAGES = 8
# Where so many images are of one size, another size is a mistake; where sizes vary, they vary.
USUAL_SHARE = 0.9


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


class Sight(Protocol):
    """What a view sees of an image."""

    @property
    def canvas(self) -> NDArray[np.uint8]:
        """uint8 [H, W, 3] BGR."""

    def mask(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """A mask of the image on the canvas."""


class Framing(Protocol):
    """A view of images, as training has it or as the agent has it."""

    @property
    def canvas_size(self) -> tuple[int, int]:
        """(height, width) of all canvases."""

    @property
    def ignored_on_canvas(self) -> NDArray[np.bool_] | None:
        """Where nothing is inspected."""

    def seen(self, image: NDArray[Any], name: str) -> Sight:
        """What is seen of an image."""


@dataclass(frozen=True)
class Dataset:
    """Good images to learn from, and labelled ones to judge by (none in a plain folder)."""

    train_good: list[Path]
    test: list[LabelledImage]

    def without(self, kinds: Collection[str]) -> Dataset:
        """Judged without these kinds of defects; InputError where there is no such kind."""
        if unknown := set(kinds) - {item.kind for item in self.test if item.defective}:
            raise InputError(f"--apart {min(unknown)}: the test images show no such kind of defect")
        return replace(self, test=[item for item in self.test if item.kind not in kinds])


def read_dataset(root: Path) -> Dataset:
    """Find the images below `root`, in sorted order; none is opened yet.

    Raises InputError where the folder is missing, holds neither `train/good` nor images, holds
    fewer than 8 good images, or images of fewer than 8 good parts, or lacks the mask of a defective
    image while others have theirs.
    """
    if not root.is_dir():
        raise InputError(f"{root} is not a folder: give a folder of images of good parts")
    folder = root / "train" / GOOD
    folder = folder if folder.is_dir() else root
    train_good = list_images(folder)
    if folder != root:
        train_good += [path for part in subfolders(folder) for path in list_images(part)]
    if not train_good:
        wanted = "images" if folder != root else f"train/{GOOD} nor images"
        raise InputError(f"{folder} holds no {wanted}: put images of good parts there")
    if len(train_good) < MINIMUM_IMAGES:
        raise InputError(
            f"{folder} holds {len(train_good)} images of good parts: training needs at least "
            f"{MINIMUM_IMAGES}, and some hundreds to be of use"
        )
    if (parts := len(group_by_part(train_good))) < MINIMUM_IMAGES:
        raise InputError(
            f"the images of {folder} are of {parts} parts, as those in a folder are of one: "
            f"training needs at least {MINIMUM_IMAGES} parts; images of different parts lie "
            f"directly in {folder}"
        )
    return Dataset(train_good, _labelled_images(root) if folder != root else [])


@dataclass(frozen=True)
class Loaded:
    """Images on the canvas of a view.

    canvases: uint8 [N, H, W, 3] BGR; size: (height, width) of the images, None where it varies.
    """

    canvases: NDArray[np.uint8]
    size: tuple[int, int] | None


def load_images(paths: Sequence[Path], view: Framing) -> Loaded:
    """Read images to learn from.

    Raises InputError where an image cannot be read or is not one that the view is for, where all
    that is inspected of it is of one colour (that is no part, and a model that learns it takes a
    dead camera for a good part), and where a few images are of another size than all the others.
    """
    images = shared_array((len(paths), *view.canvas_size, 3), np.uint8)
    sizes = []
    for index, path in enumerate(tqdm(paths, desc="reading images", disable=None)):
        image = read_image(path)
        sizes.append((image.shape[1], image.shape[0]))
        images[index] = view.seen(image, str(path)).canvas
        if _is_flat(images[index], view.ignored_on_canvas):
            raise InputError(f"{path} is of one colour throughout and shows no part: remove it")
    _check_strays(paths, sizes)
    height, width = sizes[0][1], sizes[0][0]
    return Loaded(images, (height, width) if len(set(sizes)) == 1 else None)


def load_labelled_images(
    items: Sequence[LabelledImage],
    view: Framing,
    no_part: type[Any],
    say: Callable[[str], None],
) -> tuple[list[LabelledImage], NDArray[np.uint8], NDArray[np.bool_]]:
    """Read test images and masks on the canvas of `view`.

    The station stops a part that is followed and not found, so no figure is taken from its image:
    it is left out, and `say` gets a line for each and one that counts them.

    Args:
        no_part: what the view raises of an image without a part, with its `reason`.

    Returns:
        The items that are there, uint8 [N, H, W, 3] BGR and bool [N, H, W], true where defective
        (nowhere in an image without a mask).

    Raises:
        InputError: a file cannot be read, is not one that the view is for, or a mask marks nothing
            or has another size than its image.
    """
    images = np.empty((len(items), *view.canvas_size, 3), np.uint8)
    masks = np.zeros((len(items), *view.canvas_size), bool)
    shown: list[LabelledImage] = []
    missing: list[str] = []
    for item in tqdm(items, desc="reading test images", disable=None):
        image = read_image(item.path)
        try:
            seen = view.seen(image, str(item.path))
        except no_part as error:
            missing.append(f"{item.path} shows {error.reason}")
            continue
        images[len(shown)] = seen.canvas
        if item.mask_path is not None:
            mask = read_mask(item.mask_path, image.shape[:2], item.mask_level)
            masks[len(shown)] = seen.mask(mask)
        shown.append(item)
    for line in missing:
        say(f"{line}; the station stops it without a score, and it is left out here")
    if missing:
        say(f"{len(missing)} of {len(items)} test images left out")
    return shown, images[: len(shown)], masks[: len(shown)]


def check_masks(items: Iterable[LabelledImage]) -> None:
    """Refuse, before a training rather than after it, masks that mark nothing."""
    for item in items:
        if item.mask_path is not None:
            read_mask(item.mask_path, None, item.mask_level)


def data_digest(paths: Iterable[Path]) -> str:
    """sha256 in hex over the names and bytes of the files, whatever their order and folder."""
    digest = hashlib.sha256()
    for name, content in sorted((path.name, _sha256(path)) for path in paths):
        digest.update(name.encode() + b"\0" + content)
    return digest.hexdigest()


def without_copies(paths: Iterable[Path], say: Callable[[str], None]) -> list[Path]:
    """The first of all files with the same bytes; `say` gets a line where others are left out.

    Of two copies, one would be trained on and the other could set the threshold.

    Raises InputError where a file cannot be read, or too few are left.
    """
    first: dict[bytes, Path] = {}
    copies = []
    for path in paths:
        original = first.setdefault(_sha256(path), path)
        if original is not path:
            copies.append(f"{path} of {original}")
    if copies:
        say(f"{len(copies)} images left out that are copies of others, such as {copies[0]}")
        if len(first) < MINIMUM_IMAGES:
            raise InputError(
                f"{len(first)} different images are left: training needs at least {MINIMUM_IMAGES},"
                " and some hundreds to be of use"
            )
    return list(first.values())


def _sha256(path: Path) -> bytes:
    try:
        return hashlib.sha256(path.read_bytes()).digest()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error


def _is_flat(canvas: NDArray[np.uint8], ignored: NDArray[np.bool_] | None) -> bool:
    shown = canvas.reshape(-1, 3)
    if ignored is not None:
        # Not at the mask's edge, where resizing has mixed the paint in.
        wider = cv2.dilate(ignored.astype(np.uint8), np.ones((5, 5), np.uint8))
        shown = canvas[wider == 0]
    return len(shown) > 0 and bool((shown == shown[0]).all())


def _check_strays(paths: Sequence[Path], sizes: list[tuple[int, int]]) -> None:
    (usual, count), *others = Counter(sizes).most_common()
    if others and count >= USUAL_SHARE * len(sizes):
        path, size = next(pair for pair in zip(paths, sizes, strict=True) if pair[1] != usual)
        raise InputError(
            f"{path} is {size[0]}x{size[1]} pixels, {count} of {len(sizes)} images are "
            f"{usual[0]}x{usual[1]}: remove it, or bring it to their size"
        )


def _labelled_images(root: Path) -> list[LabelledImage]:
    has_masks = (root / "ground_truth").is_dir()
    items = []
    for folder in subfolders(root / "test"):
        if below := subfolders_with_images(folder):
            raise InputError(
                f"{below[0]} holds images, and test images lie directly in {folder}: put them there"
            )
        for path in list_images(folder):
            mask = None
            if folder.name != GOOD and has_masks:
                mask = root / "ground_truth" / folder.name / f"{path.stem}_mask.png"
                if not mask.is_file():
                    raise InputError(f"{path} shows a defect and has no mask: expected {mask}")
            items.append(LabelledImage(path, folder.name, mask))
    return items
