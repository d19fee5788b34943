"""Training batches: good images, half of them with a synthetic anomaly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import cv2
import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from training.synthesis import Synthesizer

PREFETCH = 3
# Light and position vary a little more on the line than in the training set.
GAIN, OFFSET, SHIFT = 0.08, 0.03, 0.02


@dataclass(frozen=True)
class Batch:
    """What a training step sees.

    image, clean: float32 [B, 3, H, W], RGB 0..1; mask: float32 [B, 1, H, W]; anomalous: bool [B].
    """

    image: Tensor
    clean: Tensor
    mask: Tensor
    anomalous: Tensor


class BatchMaker(Dataset[Batch]):
    """Makes batch number `step` from (seed, step) alone: a resumed training sees the same ones.

    Args:
        normals: uint8 [N, H, W, 3] BGR.
        synthesizer: built on the same normals.
        size: images a batch; every second one gets an anomaly.
    """

    def __init__(
        self, normals: NDArray[np.uint8], synthesizer: Synthesizer, size: int, seed: int
    ) -> None:
        self.normals = normals
        self.synthesizer = synthesizer
        self.size = size
        self.seed = seed

    def __getitem__(self, step: int) -> Batch:
        """Batch number `step`."""
        rng = np.random.default_rng((self.seed, step))
        images: list[NDArray[np.uint8]] = []
        cleans, masks = [], []
        anomalous = rng.permutation(np.arange(self.size) % 2 == 0)
        for index, with_anomaly in zip(self._indices(step), anomalous, strict=True):
            foreground = self.synthesizer.foreground(index)
            clean, foreground = _augment(self.normals[index], foreground, rng)
            image, mask = clean, np.zeros(clean.shape[:2], np.bool_)
            if with_anomaly:
                image, mask = self.synthesizer.paste(clean, foreground, rng)
                anomalous[len(images)] = mask.any()
            images.append(image)
            cleans.append(clean)
            masks.append(mask)
        return Batch(
            image=to_tensor(np.stack(images)),
            clean=to_tensor(np.stack(cleans)),
            mask=torch.from_numpy(np.stack(masks)).float()[:, None],
            anomalous=torch.from_numpy(anomalous),
        )

    def stream(self, first: int) -> Iterator[Batch]:
        """Batches from number `first` on, made ahead of time by another process.

        A thread would hold the interpreter's lock again and again while the trainer wants it:
        on two cores that made a step take 0.9 s in place of 0.65 s.
        """
        loader: DataLoader[Batch] = DataLoader(
            self,
            batch_size=None,
            sampler=count(first),
            num_workers=1,
            prefetch_factor=PREFETCH,
            worker_init_fn=_single_threaded,
            # A forked child would wait for ever for the threads that OpenCV had in its parent.
            multiprocessing_context="spawn",
        )
        yield from loader

    def _indices(self, step: int) -> list[int]:
        """Each normal once an epoch, epochs shuffled apart."""
        total = len(self.normals)
        indices: list[int] = []
        for position in range(step * self.size, (step + 1) * self.size):
            epoch, place = divmod(position, total)
            if place == 0 or not indices:
                order = np.random.default_rng((self.seed, 1 << 32, epoch)).permutation(total)
            indices.append(int(order[place]))
        return indices


def _single_threaded(worker: int) -> None:
    """Two cores are the trainer's; OpenCV must not take them too."""
    cv2.setNumThreads(1)


def to_tensor(images: NDArray[np.uint8]) -> Tensor:
    """uint8 [B, H, W, 3] BGR -> float32 [B, 3, H, W] RGB 0..1."""
    rgb = np.ascontiguousarray(images[..., ::-1].transpose(0, 3, 1, 2))
    return torch.from_numpy(rgb).float() / 255.0


def _augment(
    image: NDArray[np.uint8], foreground: NDArray[np.bool_] | None, rng: Generator
) -> tuple[NDArray[np.uint8], NDArray[np.bool_] | None]:
    """Small change of light and position; the foreground moves along."""
    height, width = image.shape[:2]
    move = np.eye(2, 3, dtype=np.float32)
    move[:, 2] = rng.uniform(-SHIFT, SHIFT, 2) * (width, height)
    moved = cv2.warpAffine(image, move, (width, height), borderMode=cv2.BORDER_REPLICATE)
    if foreground is not None:
        foreground = cv2.warpAffine(foreground.astype(np.uint8), move, (width, height)) > 0
    gain, offset = 1 + rng.uniform(-GAIN, GAIN), 255 * rng.uniform(-OFFSET, OFFSET)
    return cv2.convertScaleAbs(np.maximum(moved * gain + offset, 0)), foreground
