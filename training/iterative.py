"""Step-by-step denoising: what DiffusionAD replaces by one step, kept to compare with.

Both functions start from an image noised to scale t, as the one-step reconstruction does, and
call the network many times. Symbols are those of `training.diffusion`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from training.diffusion import Schedule

# From x_t [B, C, H, W] and t int64 [B] to the predicted noise [B, C, H, W].
NoisePredictor = Callable[[Tensor, Tensor], Tensor]


def ancestral_x0(
    schedule: Schedule,
    predict: NoisePredictor,
    x_t: Tensor,
    t: int,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draw x_{t-1}, x_{t-2}, ... x_0 one after the other (Ho et al., algorithm 2).

    Each is drawn from q(x_{t-1} | x_t, x_0) (eqs. 6 and 7) at the clamped prediction of x_0, so
    the same image gives another result every time. Returns [B, C, H, W] in [-1, 1].
    """
    for now in range(t, 0, -1):
        x0 = _predicted_x0(schedule, predict, x_t, now)
        beta = float(schedule.betas[now])
        abar, abar_before = (float(schedule.alphas_cumprod[step]) for step in (now, now - 1))
        of_x0 = abar_before**0.5 * beta / (1.0 - abar)
        of_x_t = (1.0 - beta) ** 0.5 * (1.0 - abar_before) / (1.0 - abar)
        deviation = ((1.0 - abar_before) / (1.0 - abar) * beta) ** 0.5
        drawn = torch.empty_like(x_t).normal_(generator=generator)
        x_t = of_x0 * x0 + of_x_t * x_t + deviation * drawn
    return _predicted_x0(schedule, predict, x_t, 0)


def implicit_x0(
    schedule: Schedule, predict: NoisePredictor, x_t: Tensor, t: int, stride: int = 1
) -> Tensor:
    """Denoise without drawing anything, every `stride`-th step (DDIM with eta = 0).

    Song et al., "Denoising Diffusion Implicit Models" (arXiv 2010.02502), eq. 12. A stride above
    t is the one-step prediction. Returns [B, C, H, W] in [-1, 1].
    """
    steps = list(range(t, 0, -stride))
    for now, following in zip(steps, steps[1:], strict=False):
        x0 = _predicted_x0(schedule, predict, x_t, now)
        # The noise that agrees with the clamped prediction.
        eps = (x_t - schedule.signal(now, x_t) * x0) / schedule.noise_level(now, x_t)
        x_t = schedule.add_noise(x0, following, eps)
    return _predicted_x0(schedule, predict, x_t, steps[-1])


def _predicted_x0(schedule: Schedule, predict: NoisePredictor, x_t: Tensor, t: int) -> Tensor:
    steps = torch.full((len(x_t),), t, dtype=torch.int64, device=x_t.device)
    return schedule.predict_x0(x_t, t, predict(x_t, steps))
