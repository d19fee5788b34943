"""Edge networks that have seen no training: small, fast, and with every kind of layer."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tests.deploy.plates import SIDE, defective_plate, plate
from training.model import DiffusionAD, FixedNoise

UNET = {"fold": 8, "widths": (32, 48), "blocks": 1}
SEGMENTATION = {"fold": 4, "widths": (32, 48), "blocks": 1}


def random_inspector(size: tuple[int, int] = (SIDE, SIDE), colours: int = 3) -> FixedNoise:
    """Random weights and normalisation, so that nothing cancels by chance."""
    torch.manual_seed(0)
    model = DiffusionAD("edge", UNET, SEGMENTATION, "image", colours)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            # The default start would make all frames alike after a few layers.
            nn.init.kaiming_normal_(module.weight)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
            module.running_mean.normal_(std=0.2)
            module.running_var.uniform_(0.5, 1.5)
    # The picture that the untrained network paints is spread over the grey levels.
    nn.init.normal_(model.unet.head.weight, std=0.05)
    nn.init.constant_(model.unet.head.bias, 0.5)
    return FixedNoise(model, size, seed=0).eval()


def random_frames(count: int = 6) -> NDArray[np.uint8]:
    """Plates, every second one with a spot: uint8 [count, SIDE, SIDE, 3]."""
    rng = np.random.default_rng(1)
    return np.stack([plate(rng) if i % 2 else defective_plate(rng)[0] for i in range(count)])
