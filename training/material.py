"""What a training has: tiles to learn from, tiles to choose the checkpoint by, foreign textures."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.dataset import data_digest, load_images, without_copies
from training.errors import InputError
from training.framing import choose_view
from training.images import is_grey, list_images, read_image, subfolders_with_images
from training.order import Order
from training.shared import shared_array
from training.split import group_by_part, one_of_each, pictures, split_normals
from training.synthesis.parts import Parts, cut_parts
from training.view import View

# Normals that training never sees: some to choose the checkpoint by, more for the threshold.
SELECTION_SHARE, CALIBRATION_SHARE = 0.1, 0.15
MAX_SELECTION = 64


@dataclass(frozen=True)
class Material:
    """Good parts as the model sees them, and what else is pasted into them.

    parts: tiles to train on; held_out: tiles to choose the checkpoint by; calibration: files for
    the threshold, unread; images: what the others are like, for the bundle; counts: images of
    each, by name; textures: uint8 [M, H, W, 3] BGR, None without any; textures_digest: of their
    files.
    """

    view: View
    parts: Parts
    held_out: Parts
    calibration: list[Path]
    images: dict[str, Any]
    counts: dict[str, int]
    textures: NDArray[np.uint8] | None
    textures_digest: str | None

    @property
    def tiles(self) -> dict[str, int]:
        """How many tiles are trained on, and how many choose the checkpoint."""
        return {"train": len(self.parts), "selection": len(self.held_out)}


def gather(order: Order, good: Sequence[Path], say: Callable[[str], None]) -> Material:
    """Split the images of good parts, choose how they are seen, and read them.

    Raises:
        InputError: an image or a texture cannot be used.
    """
    _say_what_is_beside(good, say)
    good = without_copies(good, say)
    parts = group_by_part(good)
    rest, aside = split_normals(parts, order.seed, CALIBRATION_SHARE)
    known = pictures(rest)
    share = min(SELECTION_SHARE, MAX_SELECTION / len(known))
    train, selection = map(pictures, split_normals(rest, order.seed, share))
    # The threshold's promise counts parts: of two pictures of one, the second adds nothing.
    calibration = one_of_each(aside, order.seed)
    # Split conformal prediction: one in n + 1; rounded up, as it is promised.
    least = math.ceil(1000 / (len(calibration) + 1)) / 10
    several = len(parts) < len(good)
    of_parts = f" of {len(parts)} parts" if several else ""
    one_each = ", one of each part," if several else ""
    say(
        f"{len(good)} good images{of_parts}: {len(train)} to train on, {len(selection)} to "
        f"choose the checkpoint with, {len(calibration)}{one_each} set aside for the threshold, "
        f"which supports a false-reject rate of {least:g} % or more"
    )
    view = choose_view(order.view, known, order.input_size, say)
    # Together: a few held-out images cannot tell by themselves whether they show an object.
    together, images = _read_parts([*train, *selection], view, say)
    learnt, held_out = together.split(len(train) * len(view.places))
    textures, textures_digest = _read_textures(order)
    return Material(
        view=view,
        parts=learnt,
        held_out=held_out.sample(MAX_SELECTION, order.seed),
        calibration=calibration,
        images=images,
        counts={
            "train": len(train),
            "selection": len(selection),
            "calibration": len(calibration),
        },
        textures=textures,
        textures_digest=textures_digest,
    )


def _say_what_is_beside(good: Sequence[Path], say: Callable[[str], None]) -> None:
    folders = {path.parent for path in good}
    for folder in sorted(folders):
        if others := [e.name for e in subfolders_with_images(folder) if e not in folders]:
            more = f" and {len(others) - 3} more" if len(others) > 3 else ""
            say(f"of {folder}, images in {', '.join(others[:3])}{more} are not taken")


def _read_parts(
    paths: Sequence[Path], view: View, say: Callable[[str], None]
) -> tuple[Parts, dict[str, Any]]:
    """The parts of images, and what the images are like, as a bundle notes it."""
    images = load_images(paths, view)
    count, grey = len(images.canvases), sum(map(is_grey, images.canvases))
    if 0 < grey < count:
        say(
            f"{grey} of {count} images are grey, the others in colour: the model takes both, "
            "and nothing tells when the camera loses its colours"
        )
    return cut_parts(images.canvases, view), {"size": images.size, "coloured": grey == 0}


def _read_textures(order: Order) -> tuple[NDArray[np.uint8] | None, str | None]:
    if order.textures is None:
        return None, None
    paths = list_images(order.textures)
    if not paths:
        raise InputError(f"--textures {order.textures} is no folder, or holds no images")
    whole = View(order.input_size)
    textures = shared_array((len(paths), *order.input_size, 3), np.uint8)
    for texture, path in zip(textures, paths, strict=True):
        texture[:] = whole.canvas(read_image(path), str(path))
    return textures, data_digest(paths)
