"""The diffusion of DiffusionAD: schedule, noising, one-step prediction, norm guidance, loss.

Nothing here knows a network: every function takes noise that some network predicted. Equations
are those of Zhang et al., "DiffusionAD: Norm-guided One-step Denoising Diffusion for Anomaly
Detection" (arXiv 2303.08730), which builds on Ho et al., "Denoising Diffusion Probabilistic
Models" (arXiv 2006.11239).

    here                    paper       meaning
    ----------------------  ----------  ------------------------------------------------------
    betas[t]                beta_t      variance added by step t, t = 0 .. T-1
    alphas_cumprod[t]       abar_t      product of (1 - beta_s) for s = 0 .. t
    x0                      x_0         image, RGB in [0, 1]
    noise                   epsilon     standard normal noise that was added
    eps                     epsilon_th  noise that the network predicted
    x_t                     x_t         noised image
    t_normal, t_noisier     t_n, t_b    the smaller and the larger noise scale
    weight                  w           strength of the guidance
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cache

import torch
from torch import Tensor

STEPS, FIRST_BETA, LAST_BETA = 1000, 1e-4, 2e-2
# One time step for the whole batch, or int64 [B] with one for each image. A plain integer makes
# the coefficients plain numbers, so that an exported graph holds constants instead of look-ups.
Step = int | Tensor


@dataclass(frozen=True)
class Schedule:
    """How much noise each of the T steps adds.

    Both tables are float64 [T] on the CPU: 1 - abar_t loses its digits in float32 where abar_t
    is close to 1.
    """

    betas: Tensor
    alphas_cumprod: Tensor
    # abar_t as plain numbers: an exported graph must not hold the table and a look-up.
    _numbers: list[float] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_numbers", self.alphas_cumprod.tolist())

    @classmethod
    @cache
    def linear(cls) -> Schedule:
        """Evenly spaced betas (Ho et al., section 4)."""
        betas = torch.linspace(FIRST_BETA, LAST_BETA, STEPS, dtype=torch.float64)
        return cls(betas, torch.cumprod(1.0 - betas, dim=0))

    def signal(self, t: Step, like: Tensor) -> float | Tensor:
        """sqrt(abar_t): a number for an integer t, else [B, 1, 1, 1] in the dtype of `like`."""
        if isinstance(t, int):
            return math.sqrt(self._numbers[t])
        return _at(self.alphas_cumprod.sqrt(), t, like)

    def noise_level(self, t: Step, like: Tensor) -> float | Tensor:
        """sqrt(1 - abar_t), in the form of `signal`."""
        if isinstance(t, int):
            return math.sqrt(1.0 - self._numbers[t])
        return _at((1.0 - self.alphas_cumprod).sqrt(), t, like)

    def add_noise(self, x0: Tensor, t: Step, noise: Tensor) -> Tensor:
        """x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) epsilon (Ho et al., eq. 4).

        `x0` and `noise` are [B, C, H, W]. Also the re-noising of norm guidance, where `x0` is a
        prediction and `noise` the network's.
        """
        return self.signal(t, x0) * x0 + self.noise_level(t, x0) * noise

    def predict_x0(self, x_t: Tensor, t: Step, eps: Tensor) -> Tensor:
        """clamp((x_t - sqrt(1 - abar_t) eps) / sqrt(abar_t), -1, 1) (Ho et al., eq. 15).

        The official code clamps to [-1, 1] although images are in [0, 1]; so does this.
        """
        x0 = (x_t - self.noise_level(t, x_t) * eps) / self.signal(t, x_t)
        return x0.clamp(-1.0, 1.0)

    def guided_x0(
        self,
        x_t_normal: Tensor,
        t_normal: Step,
        eps_normal: Tensor,
        x_t_noisier: Tensor,
        t_noisier: Step,
        eps_noisier: Tensor,
        weight: float = 1.0,
    ) -> Tensor:
        """The norm-guided one-step reconstruction, [B, C, H, W] in [-1, 1].

        The noisier scale has lost the anomaly but also detail; the smaller scale keeps both. The
        difference of the two, at the smaller scale, steers its noise estimate.
        """
        x0_noisier = self.predict_x0(x_t_noisier, t_noisier, eps_noisier)
        renoised = self.add_noise(x0_noisier, t_normal, eps_normal)
        pull = weight * self.noise_level(t_normal, x_t_normal)
        return self.predict_x0(x_t_normal, t_normal, eps_normal - pull * (renoised - x_t_normal))


def noise_loss(
    eps_normal: Tensor,
    noise_normal: Tensor,
    eps_noisier: Tensor,
    noise_noisier: Tensor,
    anomalous: Tensor,
) -> Tensor:
    """Squared noise error of both scales, averaged over the normal images.

    The noises are [B, C, H, W]; `anomalous` is bool [B], true where a synthetic anomaly was
    pasted: the network must learn the noise of normal images alone. The result is a float32
    scalar; where every image is anomalous it is 0 and still has a gradient (of zeros).
    """
    error = _squared_error(eps_normal, noise_normal) + _squared_error(eps_noisier, noise_noisier)
    normal = (~anomalous).to(error)
    return (error * normal).sum() / normal.sum().clamp(min=1.0)


def _squared_error(eps: Tensor, noise: Tensor) -> Tensor:
    """Mean over each image, float32 [B], also under mixed precision."""
    return (eps.float() - noise.float()).square().flatten(1).mean(1)


def _at(table: Tensor, t: Tensor, like: Tensor) -> Tensor:
    return table.to(t.device)[t].to(like.dtype).view(-1, 1, 1, 1)
