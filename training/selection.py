"""Which checkpoint to keep, judged on held-out normals with synthetic anomalies.

The official code looks at the test set every 50 epochs and keeps the best; its figures are
optimistic by that much, and a user has no defects to look at anyway.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from training.metrics import image_auroc, pixel_ap
from training.model import FixedNoise
from training.synthesis import Synthesizer

CHUNK = 8
LEAST_PAIRS = 16


@dataclass(frozen=True)
class SelectionScore:
    """How well synthetic anomalies are told from held-out normals."""

    image_auroc: float
    pixel_ap: float

    @property
    def value(self) -> float:
        """The figure that the checkpoint is chosen by."""
        return (self.image_auroc + self.pixel_ap) / 2


class SelectionSet:
    """Every held-out normal twice, as it is and with a synthetic anomaly.

    A few are taken several times, with another anomaly each time: one pair would tell nothing.

    Args:
        normals: uint8 [N, H, W, 3] BGR, none of them trained on.
        synthesizer: built on `normals`.
    """

    def __init__(self, normals: NDArray[np.uint8], synthesizer: Synthesizer, seed: int) -> None:
        rng = np.random.default_rng((seed, 2 << 32))
        count = len(normals)
        normals = np.tile(normals, (math.ceil(LEAST_PAIRS / count), 1, 1, 1))
        pasted = [
            synthesizer.paste(image, synthesizer.foreground(index % count), rng)
            for index, image in enumerate(normals)
        ]
        self.frames = np.concatenate((normals, np.stack([image for image, _ in pasted])))
        clean = np.zeros(normals.shape[:3], np.bool_)
        self.masks = np.concatenate((clean, np.stack([mask for _, mask in pasted])))
        self.labels = self.masks.any(axis=(1, 2)).astype(int)

    def score(self, inspector: FixedNoise) -> SelectionScore:
        """Run `inspector` (in evaluation mode) over the set."""
        maps, scores = inspect_frames(inspector, self.frames)
        return SelectionScore(
            image_auroc=image_auroc(self.labels, scores),
            pixel_ap=pixel_ap(maps, self.masks),
        )


@torch.inference_mode()
def inspect_frames(
    inspector: FixedNoise, frames: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Anomaly maps float32 [N, H, W] and scores float32 [N] of frames uint8 [N, H, W, 3] BGR."""
    device = inspector.noise_normal.device
    maps, scores = [], []
    for chunk in np.array_split(frames, max(1, len(frames) // CHUNK)):
        logits, score, _ = inspector(torch.from_numpy(chunk).to(device))
        maps.append(logits.float().cpu().numpy())
        scores.append(score.float().cpu().numpy())
    return np.concatenate(maps), np.concatenate(scores)
