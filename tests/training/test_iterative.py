"""Step-by-step denoising ends where theory says it must."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from training.diffusion import Schedule
from training.iterative import NoisePredictor, ancestral_x0, implicit_x0

SCHEDULE = Schedule.linear()


def knows(x0: Tensor) -> NoisePredictor:
    """Predicts the noise that lies between any x_t and this image."""

    def predict(x_t: Tensor, t: Tensor) -> Tensor:
        return (x_t - SCHEDULE.signal(t, x_t) * x0) / SCHEDULE.noise_level(t, x_t)

    return predict


def knows_deviation(deviation: float) -> NoisePredictor:
    """The best possible prediction for pixels drawn from a normal distribution around 0."""

    def predict(x_t: Tensor, t: Tensor) -> Tensor:
        level = SCHEDULE.noise_level(t, x_t)
        variance = (SCHEDULE.signal(t, x_t) * deviation) ** 2 + level**2
        return level * x_t / variance

    return predict


def test_a_perfect_network_brings_the_image_back() -> None:
    x0, noise = torch.rand(2, 3, 8, 8), torch.randn(2, 3, 8, 8)
    x_t = SCHEDULE.add_noise(x0, 120, noise)
    for x in (
        implicit_x0(SCHEDULE, knows(x0), x_t, 120),
        implicit_x0(SCHEDULE, knows(x0), x_t, 120, stride=25),
        ancestral_x0(SCHEDULE, knows(x0), x_t, 120),
    ):
        torch.testing.assert_close(x, x0, rtol=0, atol=1e-3)


def test_a_stride_beyond_t_is_the_one_step_prediction() -> None:
    x_t, eps = torch.randn(1, 3, 4, 4), torch.randn(1, 3, 4, 4)
    one_step = SCHEDULE.predict_x0(x_t, 200, eps)
    assert torch.equal(implicit_x0(SCHEDULE, lambda *_: eps, x_t, 200, stride=201), one_step)


def test_ten_steps_ask_the_network_ten_times() -> None:
    """Eleven: the last was asked at t = 0 of what was painted already."""
    asked: list[int] = []

    def predict(x_t: Tensor, t: Tensor) -> Tensor:
        asked.append(int(t[0]))
        return torch.zeros_like(x_t)

    implicit_x0(SCHEDULE, predict, torch.randn(1, 3, 4, 4), 400, stride=40)
    assert asked == list(range(400, 0, -40))


@pytest.mark.parametrize("way", ["ancestral", "implicit"])
def test_noise_becomes_the_distribution_of_the_data(way: str) -> None:
    """Too little or too much noise at any step ends in another deviation than the data's."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1, 1, 200, 200, generator=generator)
    predict, last = knows_deviation(0.25), len(SCHEDULE.betas) - 1
    if way == "ancestral":
        x0 = ancestral_x0(SCHEDULE, predict, noise, last, generator)
    else:
        x0 = implicit_x0(SCHEDULE, predict, noise, last)
    assert x0.std().item() == pytest.approx(0.25, rel=0.03)
    assert x0.mean().item() == pytest.approx(0.0, abs=0.01)


def test_only_ancestral_denoising_draws() -> None:
    x_t, predict = torch.randn(1, 3, 8, 8), knows_deviation(0.25)
    results = [implicit_x0(SCHEDULE, predict, x_t, 50, stride=10) for _ in range(2)]
    assert torch.equal(*results)
    seeds = [torch.Generator().manual_seed(seed) for seed in (1, 1, 2)]
    first, again, other = (ancestral_x0(SCHEDULE, predict, x_t, 50, seed) for seed in seeds)
    assert torch.equal(first, again) and not torch.equal(first, other)
