"""The diffusion reproduces the official code, and survives batches that broke it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from training.diffusion import Schedule, noise_loss

SCHEDULE = Schedule.linear()


def assert_equal(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-5)


def test_schedule_is_the_official_one(diffusion_numbers: dict[str, Tensor]) -> None:
    torch.testing.assert_close(SCHEDULE.betas, diffusion_numbers["betas"], rtol=0, atol=1e-15)
    torch.testing.assert_close(
        SCHEDULE.alphas_cumprod, diffusion_numbers["alphas_cumprod"], rtol=0, atol=1e-12
    )
    assert len(SCHEDULE.betas) == 1000


@pytest.mark.parametrize("scale", ["normal", "noisier"])
def test_noising_and_one_step_prediction(scale: str, diffusion_numbers: dict[str, Tensor]) -> None:
    n = diffusion_numbers
    x_t = SCHEDULE.add_noise(n["x0"], n[f"t_{scale}"], n[f"noise_{scale}"])
    assert_equal(x_t, n[f"x_t_{scale}"])
    assert_equal(SCHEDULE.predict_x0(x_t, n[f"t_{scale}"], n[f"eps_{scale}"]), n[f"x0_{scale}"])


def test_renoising_with_the_networks_noise(diffusion_numbers: dict[str, Tensor]) -> None:
    n = diffusion_numbers
    renoised = SCHEDULE.add_noise(n["x0_noisier"], n["t_normal"], n["eps_normal"])
    assert_equal(renoised, n["x_t_renoised"])


def guided(n: dict[str, Tensor], weight: float, image: slice = slice(None)) -> Tensor:
    """The guided reconstruction of the reference's images; of one image, at an integer t."""
    t_normal, t_noisier = n["t_normal"][image], n["t_noisier"][image]
    one = len(t_normal) == 1
    return SCHEDULE.guided_x0(
        n["x_t_normal"][image],
        int(t_normal) if one else t_normal,
        n["eps_normal"][image],
        n["x_t_noisier"][image],
        int(t_noisier) if one else t_noisier,
        n["eps_noisier"][image],
        weight,
    )


@pytest.mark.parametrize("weight", [0.5, 1, 3])
def test_guided_reconstruction(weight: float, diffusion_numbers: dict[str, Tensor]) -> None:
    assert_equal(guided(diffusion_numbers, weight), diffusion_numbers[f"guided_x0_w{weight}"])


@pytest.mark.parametrize("index", range(4))
def test_an_integer_step_gives_what_a_tensor_of_steps_gives(
    index: int, diffusion_numbers: dict[str, Tensor]
) -> None:
    image = slice(index, index + 1)
    expected = diffusion_numbers["guided_x0_w1"][image]
    assert_equal(guided(diffusion_numbers, 1.0, image), expected)


def test_without_weight_the_noisier_scale_has_no_say(diffusion_numbers: dict[str, Tensor]) -> None:
    assert_equal(guided(diffusion_numbers, 0.0), diffusion_numbers["x0_normal"])


def noises(n: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return n["eps_normal"], n["noise_normal"], n["eps_noisier"], n["noise_noisier"]


def test_noise_loss_over_normal_images(diffusion_numbers: dict[str, Tensor]) -> None:
    loss = noise_loss(*noises(diffusion_numbers), torch.zeros(4, dtype=torch.bool))
    assert_equal(loss.double(), diffusion_numbers["noise_loss_all"])


def test_noise_loss_leaves_anomalous_images_out(diffusion_numbers: dict[str, Tensor]) -> None:
    anomalous = torch.tensor([True, False, True, False])
    kept = [noise[~anomalous] for noise in noises(diffusion_numbers)]
    expected = noise_loss(kept[0], kept[1], kept[2], kept[3], torch.zeros(2, dtype=torch.bool))
    assert_equal(noise_loss(*noises(diffusion_numbers), anomalous), expected)


def test_a_batch_of_anomalies_alone_gives_zero_loss_and_zero_gradient() -> None:
    """The official code once averaged over no image at all and trained on NaN."""
    eps, noise = torch.ones(3, 3, 8, 8, requires_grad=True), torch.zeros(3, 3, 8, 8)
    loss = noise_loss(eps, noise, eps, noise, torch.ones(3, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0.0
    assert eps.grad is not None and eps.grad.abs().max() == 0.0


def test_half_precision_noises_are_compared_in_float32() -> None:
    """A squared error of 300 overflows float16 beyond 65504."""
    eps, noise = torch.full((1, 3, 4, 4), 300.0).half(), torch.zeros(1, 3, 4, 4).half()
    loss = noise_loss(eps, noise, noise, noise, torch.zeros(1, dtype=torch.bool))
    assert loss.dtype == torch.float32 and loss.item() == pytest.approx(90_000.0)
