"""What `edge` stands for."""

from __future__ import annotations

import pytest

from training.budget import Budget
from training.presets import resolve


@pytest.mark.parametrize(
    ("budget", "on_gpu", "chosen"),
    [
        (Budget(seconds=3600.0), False, "edge-m"),
        (Budget(seconds=720.0), False, "edge-s"),
        (Budget(seconds=720.0), True, "edge-m"),
        (Budget(steps=10), False, "edge-m"),
    ],
    ids=["an hour of a CPU", "minutes of a CPU", "minutes of a GPU", "steps"],
)
def test_edge_is_what_the_time_can_teach(budget: Budget, on_gpu: bool, chosen: str) -> None:
    assert resolve("edge", budget, on_gpu=on_gpu) == chosen
    assert resolve("edge-l", budget, on_gpu=on_gpu) == "edge-l"
