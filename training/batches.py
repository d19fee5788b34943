"""Training batches: good images, most with synthetic anomalies."""

from __future__ import annotations

import atexit
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from itertools import count
from typing import Any

import cv2
import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from training.distributed import ALONE, Group, own_places
from training.images import is_grey
from training.shared import given_array
from training.symmetry import FLIPS
from training.synthesis import Synthesizer

# OpenCV's import leaves an empty entry: a child process would load libraries from its folder.
LIBRARY_PATH = "LD_LIBRARY_PATH"
os.environ[LIBRARY_PATH] = ":".join(filter(None, os.environ.get(LIBRARY_PATH, "").split(":")))

PREFETCH = 3
# After so long without a batch it has been lost on its way; the first takes a minute at most.
LOST_S = 600.0
# Light and angle (degrees) vary a little more on the line than in the training set. Position and
# distance vary there as they will on the line: moved further, the edges of a part might be
# anywhere, mirrored pixels beside them, and what is broken there is missed.
GAIN, OFFSET, GAMMA, TURN = 0.1, 0.03, 0.1, 0.5


@dataclass(frozen=True)
class Batch:
    """What a training step sees, in whole bytes: it travels between processes.

    image, clean: uint8 [B, H, W, 3] BGR; mask: bool [B, H, W]; weight: float32
    [B, H, W], of each anomalous pixel (`region_weights`); anomalous: bool [B]; places: int64 [B],
    where in the whole batch these images stand (all, unless several processes share it).
    """

    image: Tensor
    clean: Tensor
    mask: Tensor
    weight: Tensor
    anomalous: Tensor
    places: Tensor


class BatchMaker(Dataset[Batch]):
    """Makes batch number `step` from (seed, step) alone: a resumed training sees the same ones.

    Args:
        normals: uint8 [N, H, W, 3] BGR; a `shared_array`, or every worker gets a copy.
        flips: names in `symmetry.FLIPS` that leave a good part good.
        synthesizer: built on the same normals.
        size: images a batch.
        good_every: one of so many gets no anomaly.
        group: the processes that share each batch; this one makes its own part alone.
        workers: processes that make batches ahead of time.
    """

    def __init__(
        self,
        normals: NDArray[np.uint8],
        synthesizer: Synthesizer,
        flips: list[str],
        size: int,
        seed: int,
        good_every: int,
        group: Group = ALONE,
        workers: int = 1,
    ) -> None:
        self.normals = normals
        self.flips = [None, *(FLIPS[name] for name in flips)]
        self.synthesizer = synthesizer
        self.size = size
        self.seed = seed
        self.good_every = good_every
        self.group = group
        check_shares(size, good_every, group)
        self.workers = workers

    def __getitem__(self, step: int) -> Batch:
        """Batch number `step`."""
        rng = np.random.default_rng((self.seed, step))
        wanted = rng.permutation(_gets_anomaly(self.size, self.good_every))
        places = own_places(wanted, self.group.rank, self.group.size)
        indices = self._indices(step)
        images: list[NDArray[np.uint8]] = []
        cleans, masks = [], []
        for place in places:
            # Of the place alone: which process makes the image is no matter. (From 1 on: a seed
            # that ends in 0 is the seed without it.)
            rng = np.random.default_rng((self.seed, step, 1 + place))
            index = indices[place]
            foreground = self.synthesizer.foreground(index)
            flip = self.flips[rng.integers(len(self.flips))]
            clean, foreground = _augment(self.normals[index], foreground, flip, rng)
            image, mask = clean, np.zeros(clean.shape[:2], np.bool_)
            if wanted[place]:
                image, mask = self.synthesizer.paste(clean, foreground, rng)
            images.append(image)
            cleans.append(clean)
            masks.append(mask)
        return Batch(
            image=torch.from_numpy(np.stack(images)),
            clean=torch.from_numpy(np.stack(cleans)),
            mask=torch.from_numpy(np.stack(masks)),
            weight=torch.from_numpy(np.stack([region_weights(mask) for mask in masks])),
            anomalous=torch.tensor([bool(mask.any()) for mask in masks]),
            places=torch.tensor(places),
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
            num_workers=self.workers,
            collate_fn=_pack,  # type: ignore[arg-type]
            timeout=LOST_S,
            prefetch_factor=PREFETCH,
            worker_init_fn=_begin_worker,
            # A forked child would wait for ever for the threads that OpenCV had in its parent.
            multiprocessing_context="spawn",
        )
        with _deaf_to_ctrl_c():
            made = iter(loader)
        for arrays in made:
            yield Batch(*map(torch.from_numpy, arrays))

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


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """What processes inherit that are started meanwhile: to end them is this one's affair.

    Interrupted while they import torch, each would show a traceback of its own.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may ask for it
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def check_shares(size: int, good_every: int, group: Group) -> None:
    """Raises InputError where a batch of `size` images cannot be shared evenly by the group."""
    own_places(_gets_anomaly(size, good_every), group.rank, group.size)


def _gets_anomaly(size: int, good_every: int) -> NDArray[np.bool_]:
    """Bool [size]."""
    return np.arange(size) % good_every != 0


def _pack(batch: Batch) -> list[NDArray[Any]]:
    """A batch to be sent. Torch itself would put it into /dev/shm, which may have 64 MB: beyond
    that, batches are lost.
    """
    return [given_array(getattr(batch, field.name).numpy()) for field in fields(batch)]


def _begin_worker(worker: int) -> None:
    # Two cores are the trainer's; OpenCV must not take them too.
    cv2.setNumThreads(1)
    # Its end is no matter. Left to the interpreter, which stops the thread that sends batches
    # wherever it is, the worker may abort: "terminate called without an active exception".
    atexit.register(os._exit, 0)


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
    rng: Generator,
) -> tuple[NDArray[np.uint8], NDArray[np.bool_] | None]:
    """Change light and angle a little; the foreground moves along."""
    height, width = image.shape[:2]
    move = cv2.getRotationMatrix2D((width / 2, height / 2), rng.uniform(-TURN, TURN), 1.0)

    def moved(picture: NDArray[np.uint8], sampling: int, border: int) -> NDArray[np.uint8]:
        if flip is not None:
            picture = np.asarray(cv2.flip(picture, flip), np.uint8)
        shifted = cv2.warpAffine(picture, move, (width, height), flags=sampling, borderMode=border)
        return np.asarray(shifted, np.uint8)

    grey = is_grey(image)
    gain, gamma = 1 + rng.uniform(-GAIN, GAIN), np.exp(rng.uniform(-GAMMA, GAMMA))
    tone = np.linspace(0, 1, 256) ** gamma * gain + rng.uniform(-OFFSET, OFFSET)
    tone = np.clip(tone, 0, 1) * 255
    # Linear interpolation blurs fine grain in bands, which no camera does; the better one costs as
    # much as all that is drawn on the image, for each channel.
    shown = moved(image[..., 0] if grey else image, cv2.INTER_LANCZOS4, cv2.BORDER_REFLECT)
    lit = cv2.LUT(shown, np.round(tone).astype(np.uint8))
    if grey:
        lit = cv2.cvtColor(lit, cv2.COLOR_GRAY2BGR)
    if foreground is not None:
        foreground = moved(foreground.astype(np.uint8), cv2.INTER_LINEAR, cv2.BORDER_CONSTANT) > 0
    return np.asarray(lit, np.uint8), foreground
