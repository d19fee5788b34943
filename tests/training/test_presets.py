"""What `edge` stands for."""

from __future__ import annotations

import pytest

from training.budget import Budget
from training.presets import resolve


@pytest.mark.parametrize(
    ("budget", "side", "on_gpu", "chosen"),
    [
        (Budget(seconds=3600.0), 256, False, "edge-m"),
        (Budget(seconds=720.0), 256, False, "edge-s"),
        (Budget(seconds=3600.0), 512, False, "edge-s"),
        (Budget(seconds=720.0), 128, False, "edge-m"),
        (Budget(seconds=720.0), 256, True, "edge-m"),
        (Budget(steps=10), 256, False, "edge-m"),
    ],
    ids=["an hour of a CPU", "minutes", "large frames", "small frames", "of a GPU", "steps"],
)
def test_edge_is_what_the_time_can_teach(
    budget: Budget, side: int, on_gpu: bool, chosen: str
) -> None:
    assert resolve("edge", budget, (side, side), on_gpu=on_gpu) == chosen
    assert resolve("edge-l", budget, (side, side), on_gpu=on_gpu) == "edge-l"
