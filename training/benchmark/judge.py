"""How good a trained model is on labelled test images."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

from training.dataset import Dataset, load_labelled_images
from training.errors import InputError
from training.metrics import image_auroc, pixel_metrics
from training.model import FixedNoise
from training.selection import inspect_frames


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


def judge(inspector: FixedNoise, data: Dataset, input_size: tuple[int, int]) -> Figures:
    """Run `inspector`, in evaluation mode, over the test images of `data`."""
    frames, masks = load_labelled_images(data.test, input_size)
    started = perf_counter()
    maps, scores = inspect_frames(inspector, frames)
    milliseconds = 1e3 * (perf_counter() - started) / len(frames)
    pixels = None
    if all(item.mask_path for item in data.test if item.defective):
        pixels = pixel_metrics(maps, masks)
    return Figures(
        image_auroc=image_auroc([item.defective for item in data.test], scores),
        pixel_auroc=pixels.auroc if pixels else None,
        aupro=pixels.aupro if pixels else None,
        pixel_ap=pixels.ap if pixels else None,
        ms=round(milliseconds, 2),
    )


def check_test_images(name: str, data: Dataset) -> None:
    """Refuse, before a training rather than after it, data that no figure can be computed on."""
    if len({item.defective for item in data.test}) < 2:
        raise InputError(
            f"{name} needs good and defective test images to be judged by: put them into test/good "
            "and test/<kind of defect>, or train on it with `normline train`"
        )
