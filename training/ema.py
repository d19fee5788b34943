"""Exponential moving average of a model's weights."""

from __future__ import annotations

from copy import deepcopy
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

DECAY = 0.998


Model = TypeVar("Model", bound=nn.Module)


class ModelAverage(Generic[Model]):
    """Keeps `model`, the average of weights and of BatchNorm's statistics alike.

    Statistics copied from the live model would belong to other weights than the averaged ones.
    """

    def __init__(self, model: Model) -> None:
        self.model: Model = deepcopy(model).requires_grad_(False)
        self.updates = 0

    @torch.no_grad()
    def update(self, model: Model) -> None:
        """Take in one more step of `model`; early steps count more, or the start would linger."""
        self.updates += 1
        decay = min(DECAY, (1 + self.updates) / (10 + self.updates))
        averages: list[Tensor] = list(self.model.parameters())
        values: list[Tensor] = list(model.parameters())
        for average, value in zip(self.model.buffers(), model.buffers(), strict=True):
            if average.is_floating_point():
                averages.append(average)
                values.append(value)
            else:
                average.copy_(value)
        torch._foreach_lerp_(averages, values, 1.0 - decay)

    def load(self, state: dict[str, Tensor], updates: int) -> None:
        """Go on from a saved average."""
        self.model.load_state_dict(state)
        self.updates = updates
