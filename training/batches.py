"""Training batches: good images, three of four with synthetic anomalies."""

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

from training.symmetry import FLIPS
from training.synthesis import Synthesizer

PREFETCH = 3
# Light, position, angle (degrees) and distance vary a little more on the line than in the
# training set.
OFFSET, GAMMA, SHIFT, TURN, ZOOM = 0.03, 0.1, 0.03, 3.0, 0.05
# Light varies as it does among the normals (deviation of the log of their mean), within these.
GAIN_LIMITS = (0.1, 0.4)


@dataclass(frozen=True)
class Batch:
    """What a training step sees, in whole bytes: it travels between processes.

    image, clean: uint8 [B, H, W, 3] BGR; mask: bool [B, H, W]; weight: float32
    [B, H, W], of each anomalous pixel (`region_weights`); anomalous: bool [B].
    """

    image: Tensor
    clean: Tensor
    mask: Tensor
    weight: Tensor
    anomalous: Tensor


class BatchMaker(Dataset[Batch]):
    """Makes batch number `step` from (seed, step) alone: a resumed training sees the same ones.

    Args:
        normals: uint8 [N, H, W, 3] BGR.
        flips: names in `symmetry.FLIPS` that leave a good part good.
        synthesizer: built on the same normals.
        size: images a batch; three of four get anomalies.
    """

    def __init__(
        self,
        normals: NDArray[np.uint8],
        synthesizer: Synthesizer,
        flips: list[str],
        size: int,
        seed: int,
    ) -> None:
        self.normals = normals
        self.flips = [None, *(FLIPS[name] for name in flips)]
        self.synthesizer = synthesizer
        self.size = size
        self.seed = seed
        light = np.log(normals[:, ::4, ::4].mean(axis=(1, 2, 3)) + 1.0)
        self.gain = float(np.clip(light.std(), *GAIN_LIMITS))

    def __getitem__(self, step: int) -> Batch:
        """Batch number `step`."""
        rng = np.random.default_rng((self.seed, step))
        images: list[NDArray[np.uint8]] = []
        cleans, masks = [], []
        anomalous = rng.permutation(np.arange(self.size) % 4 != 0)
        for index, with_anomaly in zip(self._indices(step), anomalous, strict=True):
            foreground = self.synthesizer.foreground(index)
            flip = self.flips[rng.integers(len(self.flips))]
            clean, foreground = _augment(self.normals[index], foreground, flip, self.gain, rng)
            image, mask = clean, np.zeros(clean.shape[:2], np.bool_)
            if with_anomaly:
                image, mask = self.synthesizer.paste(clean, foreground, rng)
                anomalous[len(images)] = mask.any()
            images.append(image)
            cleans.append(clean)
            masks.append(mask)
        return Batch(
            image=torch.from_numpy(np.stack(images)),
            clean=torch.from_numpy(np.stack(cleans)),
            mask=torch.from_numpy(np.stack(masks)),
            weight=torch.from_numpy(np.stack([region_weights(mask) for mask in masks])),
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


def region_weights(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Weight of each anomalous pixel, float32 [H, W]: 1 / sqrt(area of its region), of mean 1.

    Between counting pixels, where one stain outweighs every hole, and counting regions, where a
    speck outweighs it.
    """
    weights = np.zeros(mask.shape, np.float32)
    if mask.any():
        _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
        of_pixel = stats[labels[mask], cv2.CC_STAT_AREA] ** -0.5
        weights[mask] = of_pixel / of_pixel.mean()
    return weights


def _augment(
    image: NDArray[np.uint8],
    foreground: NDArray[np.bool_] | None,
    flip: int | None,
    gain: float,
    rng: Generator,
) -> tuple[NDArray[np.uint8], NDArray[np.bool_] | None]:
    """Change light, position, angle and distance a little; the foreground moves along."""
    height, width = image.shape[:2]
    turn, zoom = rng.uniform(-TURN, TURN), 1 + rng.uniform(-ZOOM, ZOOM)
    move = cv2.getRotationMatrix2D((width / 2, height / 2), turn, zoom)
    move[:, 2] = move[:, 2] + rng.uniform(-SHIFT, SHIFT, 2) * (width, height)

    def moved(picture: NDArray[np.uint8], border: int) -> NDArray[np.uint8]:
        if flip is not None:
            picture = np.asarray(cv2.flip(picture, flip), np.uint8)
        shifted = cv2.warpAffine(picture, move, (width, height), borderMode=border)
        return np.asarray(shifted, np.uint8)

    brighter, gamma = np.exp(rng.uniform(-gain, gain)), np.exp(rng.uniform(-GAMMA, GAMMA))
    tone = np.linspace(0, 1, 256) ** gamma * brighter + rng.uniform(-OFFSET, OFFSET)
    tone = np.clip(tone, 0, 1) * 255
    lit = cv2.LUT(moved(image, cv2.BORDER_REFLECT), np.round(tone).astype(np.uint8))
    if foreground is not None:
        foreground = moved(foreground.astype(np.uint8), cv2.BORDER_CONSTANT) > 0
    return np.asarray(lit, np.uint8), foreground
