"""DiffusionAD as one module: noised image, two one-step predictions, guidance, segmentation.

`DiffusionAD` takes any noise scales and any noise, as training does. `FixedNoise` is what stands
at the line: both scales and both noises are constants, so that a frame always gets one score.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from training.diffusion import Schedule, Step
from training.losses import squares_score, top_k_score
from training.networks.contrast import detail, standing_out
from training.networks.edge import EdgeUNet
from training.networks.segmentation import SegmentationNet
from training.networks.unet import UNet
from training.presets import Prediction

# The official test scales and guidance weight.
T_NORMAL, T_NOISIER, GUIDANCE = 200, 400, 1.0
# Mean of the 50 largest of 256 x 256 pixels, and as many in proportion at other sizes.
TOP_SHARE = 50 / 256**2
# What the edge segmentation net sees as zero: mid-grey, so that the padding of its convolutions
# is a picture's, and the value that an INT8 graph gives to 128 of 255.
CENTRE = 128 / 255
# Fixed noise is kept as int8 / 32: a graph of any precision then holds the very same noise, in a
# quarter of the bytes. The rounding error, 0.009 r.m.s., is nothing beside a deviation of 1.
NOISE_GRID = 32.0


class Networks(Protocol):
    """What says which networks a model has: a preset, or the settings of a run."""

    @property
    def family(self) -> str:
        """`official` or `edge`."""

    @property
    def unet(self) -> dict[str, Any]:
        """Arguments of the reconstruction network."""

    @property
    def segmentation(self) -> dict[str, Any]:
        """Arguments of the segmentation network."""

    @property
    def prediction(self) -> Prediction:
        """What the reconstruction network predicts."""

    @property
    def colours(self) -> int:
        """How many are painted and compared."""


@dataclass(frozen=True)
class Reconstruction:
    """One-step predictions of x_0, each [B, colours, H, W]: of either scale, and guided.

    `eps` holds the predicted noise of the smaller and the larger scale, where the network
    predicts noise.
    """

    normal: Tensor
    noisier: Tensor
    guided: Tensor
    eps: tuple[Tensor, Tensor] | None = None


class DiffusionAD(nn.Module):
    """The two networks and the arithmetic between them.

    With one colour, images are grey, [B, 3, H, W] all the same (of others green is seen). Each of
    the three is noised by itself nevertheless, as three looks at a picture tell more of it than
    one; what is painted and compared is one picture.
    """

    def __init__(
        self,
        family: str,
        unet: dict[str, Any],
        segmentation: dict[str, Any],
        prediction: Prediction,
        colours: int = 3,
    ) -> None:
        super().__init__()
        self.family = family
        self.colours = colours
        self.prediction = prediction
        self.guidance = GUIDANCE
        self.contrast: Callable[[Tensor, Tensor], Tensor] = contrast
        self.schedule = Schedule.linear()
        self.unet: nn.Module
        self.segmentation: nn.Module
        self.centre = 0.0 if family == "official" else CENTRE
        if family == "official":
            self.unet = UNet(**unet)
            self.segmentation = SegmentationNet(**segmentation)
        else:
            self.unet = EdgeUNet(3, colours, timed=True, **unet)
            # Image, reconstruction, and what stands out from either.
            self.segmentation = EdgeUNet(4 * colours, 1, timed=False, lines=True, **segmentation)

    @classmethod
    def of(cls, recipe: Networks) -> DiffusionAD:
        """The networks of a preset or of a run, with random weights."""
        return cls(
            recipe.family, recipe.unet, recipe.segmentation, recipe.prediction, recipe.colours
        )

    def checkpoint_activations(self, wanted: bool) -> None:
        """Whether training trades time for memory; only the paper's network is that large."""
        if isinstance(self.unet, UNet):
            self.unet.checkpointing = wanted

    def painted(self, image: Tensor) -> Tensor:
        """Of an image [B, 3 or colours, H, W] what is painted and compared, [B, colours, H, W]."""
        return image if image.shape[1] == self.colours else image[:, 1:2]

    def reconstruct(
        self,
        image: Tensor,
        t_normal: Step,
        t_noisier: Step,
        noise_normal: Tensor,
        noise_noisier: Tensor,
    ) -> Reconstruction:
        """Noise `image` [B, 3, H, W] (RGB, 0..1) to both scales and predict it back from each."""
        image = self.painted(image).expand_as(image)
        x_normal = self.schedule.add_noise(image, t_normal, noise_normal)
        x_noisier = self.schedule.add_noise(image, t_noisier, noise_noisier)
        # Both scales are independent passes of one network, so one batch of two.
        t = torch.cat((_steps(t_normal, image), _steps(t_noisier, image)))
        predicted = self.unet(torch.cat((x_normal, x_noisier)), t).to(image.dtype)
        of_normal, of_noisier = predicted.chunk(2)
        if self.prediction == "noise":
            return Reconstruction(
                self.schedule.predict_x0(x_normal, t_normal, of_normal),
                self.schedule.predict_x0(x_noisier, t_noisier, of_noisier),
                self.schedule.guided_x0(
                    x_normal, t_normal, of_normal, x_noisier, t_noisier, of_noisier, self.guidance
                ),
                (of_normal, of_noisier),
            )
        # In terms of the predicted images the guidance is a linear mix:
        # x0 = x0_n + w (1 - abar_n) (clamp(x0_b) - x0_n).
        # Clamped to 0..1, where images are; the official code clamps its own to [-1, 1].
        pull = self.guidance * self.schedule.noise_level(t_normal, image) ** 2
        mixed = of_normal + pull * (of_noisier.clamp(0.0, 1.0) - of_normal)
        return Reconstruction(of_normal, of_noisier, mixed.clamp(0.0, 1.0))

    def segment(self, image: Tensor, reconstruction: Tensor) -> Tensor:
        """Anomaly logits [B, 1, H, W] from the image and its guided reconstruction.

        The edge net also sees what stands out (`contrast`).
        """
        image, reconstruction = self.painted(image), self.painted(reconstruction)
        seen = torch.cat((image, reconstruction), dim=1) - self.centre
        if self.family == "edge":
            seen = torch.cat((seen, self.contrast(image, reconstruction)), dim=1)
        logits: Tensor = self.segmentation(seen).to(image.dtype)
        return logits

    def score(self, maps: Tensor) -> Tensor:
        """Image scores [B] of anomaly maps [B, H, W]: of squares, or as the official code does."""
        if self.family == "edge":
            return squares_score(maps)
        return top_k_score(maps, top_pixels((maps.shape[1], maps.shape[2])))


class FixedNoise(nn.Module):
    """From frames to scores with fixed scales and noise: what is evaluated, exported and run.

    Args:
        model: trained networks.
        input_size: (H, W) of the frames.
        seed: of both noises.
    """

    def __init__(self, model: DiffusionAD, input_size: tuple[int, int], seed: int) -> None:
        super().__init__()
        self.model = model
        self.noise_normal: Tensor
        self.noise_noisier: Tensor
        normal, noisier = _fixed_noise(input_size, seed)
        self.register_buffer("noise_normal", normal)
        self.register_buffer("noise_noisier", noisier)

    @property
    def noises(self) -> tuple[Tensor, Tensor]:
        """Both noises, float32 [1, 3, H, W]: of the smaller and of the larger scale."""
        return self.noise_normal.float() / NOISE_GRID, self.noise_noisier.float() / NOISE_GRID

    def forward(self, frame: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """frame: uint8 [B, H, W, 3] BGR.

        Returns anomaly_map float32 [B, H, W] (logits), score float32 [B] (`DiffusionAD.score`),
        reconstruction uint8 [B, H, W, 3] BGR.
        """
        image = to_images(frame, frame.device)
        guided = self.model.reconstruct(image, T_NORMAL, T_NOISIER, *self.noises).guided
        logits = self.model.segment(image, guided).squeeze(1)
        bgr = guided.expand_as(image).flip(1).clamp(0.0, 1.0)
        # TensorRT reads bytes with a Cast alone, and makes them with one.
        picture = (bgr * 255.0).round().permute(0, 2, 3, 1).to(torch.uint8)
        return logits, self.model.score(logits), picture


def contrast(image: Tensor, reconstruction: Tensor) -> Tensor:
    """What stands out in an image [B, C, H, W], float32 [B, 2 C, H, W] in -1 .. 1.

    The first half of the channels: against the reconstruction; the other: its surroundings.
    """
    image, reconstruction = image.float(), reconstruction.float()
    return torch.cat((standing_out(image - reconstruction), standing_out(detail(image))), dim=1)


def to_images(frames: Tensor, device: torch.device) -> Tensor:
    """uint8 [B, H, W, 3] BGR -> float32 [B, 3, H, W] RGB 0..1, on `device`."""
    return frames.to(device).float().permute(0, 3, 1, 2).flip(1) / 255.0


def top_pixels(input_size: tuple[int, int]) -> int:
    """How many of the largest pixels make the score at this size (50 at 256 x 256)."""
    return max(1, round(TOP_SHARE * input_size[0] * input_size[1]))


def _fixed_noise(input_size: tuple[int, int], seed: int) -> tuple[Tensor, Tensor]:
    """Both noises, int8 [1, 3, H, W] in units of 1 / NOISE_GRID."""
    # RandomState: its stream is frozen by NumPy's compatibility promise; torch's is not.
    drawn = np.random.RandomState(seed).standard_normal((2, 1, 3, *input_size))
    grid = np.clip(np.round(drawn * NOISE_GRID), -127, 127).astype(np.int8)
    return torch.from_numpy(grid[0]), torch.from_numpy(grid[1])


def _steps(t: Step, image: Tensor) -> Tensor:
    if isinstance(t, int):
        return torch.full((image.shape[0],), t, device=image.device, dtype=torch.int64)
    return t
