"""Exponential moving average of a model's weights."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn

DECAY = 0.998


class ModelAverage:
    """Keeps `model`, the average; statistics of BatchNorm are copied, not averaged twice."""

    def __init__(self, model: nn.Module) -> None:
        self.model = deepcopy(model).requires_grad_(False)
        self.updates = 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take in one more step of `model`; early steps count more, or the start would linger."""
        self.updates += 1
        decay = min(DECAY, (1 + self.updates) / (10 + self.updates))
        averages, values = list(self.model.parameters()), list(model.parameters())
        torch._foreach_lerp_(averages, values, 1.0 - decay)
        for average, value in zip(self.model.buffers(), model.buffers(), strict=True):
            average.copy_(value)

    def load(self, state: dict[str, Tensor], updates: int) -> None:
        """Go on from a saved average."""
        self.model.load_state_dict(state)
        self.updates = updates
