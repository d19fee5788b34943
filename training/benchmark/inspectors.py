"""Other ways from an image to its reconstruction, to compare with the one at the line."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from training.diffusion import Schedule
from training.iterative import NoisePredictor, ancestral_x0, implicit_x0
from training.model import T_NOISIER, T_NORMAL, DiffusionAD, FixedNoise, to_images

# From the inspector and images [B, 3, H, W] to reconstructions [B, 3 or colours, H, W].
Rebuild = Callable[["Inspector", Tensor], Tensor]


class Inspector(FixedNoise):
    """`FixedNoise` with another reconstruction, and its map from the segmentation or without.

    Args:
        rebuild: makes the reconstruction.
        segments: whether the segmentation net makes the map; else it is the mean absolute
            difference of image and reconstruction, which needs no synthetic anomalies.
    """

    def __init__(
        self,
        model: DiffusionAD,
        input_size: tuple[int, int],
        seed: int,
        rebuild: Rebuild,
        segments: bool = True,
    ) -> None:
        super().__init__(model, input_size, seed)
        self.rebuild = rebuild
        self.segments = segments

    def forward(self, frame: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As `FixedNoise`, with the reconstruction as float32 [B, 3 or colours, H, W]."""
        image = to_images(frame, frame.device)
        rebuilt = self.rebuild(self, image)
        if self.segments:
            maps = self.model.segment(image, rebuilt).squeeze(1)
        else:
            maps = (image - rebuilt).abs().mean(1)
        return maps, self.model.score(maps), rebuilt


def two_scales(
    t_normal: int = T_NORMAL, t_noisier: int = T_NOISIER, weight: float = 1.0
) -> Rebuild:
    """One step from either scale, norm-guided with `weight`."""

    def rebuild(inspector: Inspector, image: Tensor) -> Tensor:
        inspector.model.guidance = weight
        return inspector.model.reconstruct(image, t_normal, t_noisier, *inspector.noises).guided

    return rebuild


def one_scale(t: int) -> Rebuild:
    """One step from one scale alone, one pass of the network."""

    def rebuild(inspector: Inspector, image: Tensor) -> Tensor:
        schedule, predict = inspector.model.schedule, noise_predictor(inspector.model)
        noised = schedule.add_noise(image, t, inspector.noises[0])
        steps = torch.full((len(image),), t, device=image.device)
        return schedule.predict_x0(noised, t, predict(noised, steps)).clamp(0.0, 1.0)

    return rebuild


def implicit(t: int, steps: int) -> Rebuild:
    """`steps` even steps from scale t down to 0 without new noise (DDIM)."""

    def rebuild(inspector: Inspector, image: Tensor) -> Tensor:
        schedule, predict = inspector.model.schedule, noise_predictor(inspector.model)
        noised = schedule.add_noise(image, t, inspector.noises[0])
        return implicit_x0(schedule, predict, noised, t, max(1, t // steps)).clamp(0.0, 1.0)

    return rebuild


def ancestral(t: int) -> Rebuild:
    """Every step from scale t down to 0, each with new noise (DDPM), from a fixed seed."""

    def rebuild(inspector: Inspector, image: Tensor) -> Tensor:
        schedule, predict = inspector.model.schedule, noise_predictor(inspector.model)
        noised = schedule.add_noise(image, t, inspector.noises[0])
        generator = torch.Generator(image.device).manual_seed(0)
        return ancestral_x0(schedule, predict, noised, t, generator).clamp(0.0, 1.0)

    return rebuild


def noise_predictor(model: DiffusionAD) -> NoisePredictor:
    """What iterative denoising asks of a network, also of one that predicts the image."""
    if model.prediction == "noise":
        return lambda x_t, t: model.unet(x_t, t).float()
    return lambda x_t, t: _implied_noise(model.schedule, x_t, t, model.unet(x_t, t).float())


def _implied_noise(schedule: Schedule, x_t: Tensor, t: Tensor, x0: Tensor) -> Tensor:
    """The noise that is left where x0 is taken out of x_t."""
    return (x_t - schedule.signal(t, x_t) * x0) / schedule.noise_level(t, x_t)
