"""How good a trained model is on labelled test images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from training.dataset import Dataset, LabelledImage, load_labelled_images
from training.errors import InputError, NoPart
from training.metrics import image_auroc, pixel_metrics
from training.model import FixedNoise
from training.selection import CHUNK, inspect_frames
from training.view import View


@dataclass(frozen=True)
class Figures:
    """One row of a table.

    The pixel figures are None where the data has no masks. ms: milliseconds an image, in PyTorch
    on the training device, in small batches; to compare rows with, not what a station takes.
    """

    image_auroc: float
    pixel_auroc: float | None
    aupro: float | None
    pixel_ap: float | None
    ms: float


def judge(inspector: FixedNoise, data: Dataset, view: View, say: Callable[[str], None]) -> Figures:
    """Run `inspector`, in evaluation mode, over the test images of `data`.

    The score of an image is that of its worst tile, as at the station. Where the part is followed,
    images that show none are left out; `say` gets a line for each.
    """
    test, canvases, masks = load_labelled_images(data.test, view, NoPart, say)
    if len(test) < len(data.test):
        check_test_images("a model that follows the part", test)
    tiles = view.cut(canvases)
    # A process that has not just trained starts CUDA or oneDNN with the first of them.
    inspect_frames(inspector, tiles[:CHUNK])
    started = perf_counter()
    maps, scores = inspect_frames(inspector, tiles)
    milliseconds = 1e3 * (perf_counter() - started) / len(canvases)
    scores, maps = scores.reshape(len(canvases), -1).max(axis=1), _stitched(maps, view)
    pixels = None
    if all(item.mask_path for item in test if item.defective):
        pixels = pixel_metrics(maps, masks)
    return Figures(
        image_auroc=image_auroc([item.defective for item in test], scores),
        pixel_auroc=pixels.auroc if pixels else None,
        aupro=pixels.aupro if pixels else None,
        pixel_ap=pixels.ap if pixels else None,
        ms=round(milliseconds, 2),
    )


def _stitched(tiles: NDArray[np.float32], view: View) -> NDArray[np.float32]:
    """Maps [N * T, h, w] of tiles as maps of canvases [N, H, W]; the larger logit counts."""
    height, width = view.input_size
    tiles = tiles.reshape(-1, len(view.places), height, width)
    maps = np.full((len(tiles), *view.canvas_size), -np.inf, np.float32)
    for index, (y, x) in enumerate(view.places):
        place = maps[:, y : y + height, x : x + width]
        np.maximum(place, tiles[:, index], out=place)
    return maps


def check_test_images(name: str, test: Sequence[LabelledImage]) -> None:
    """Refuse, before a training rather than after it, images that no figure can be computed on."""
    if len({item.defective for item in test}) < 2:
        raise InputError(
            f"{name} needs good and defective test images to be judged by: put them into test/good "
            "and test/<kind of defect>, or train on it with `normline train`"
        )
