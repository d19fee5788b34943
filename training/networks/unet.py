"""The paper's reconstruction network: the U-Net of guided diffusion, tensor for tensor.

Layout and names of the tensors are those of the official DiffusionAD code, so that its
checkpoints load as they are. The architecture is that of Dhariwal and Nichol, "Diffusion Models
Beat GANs on Image Synthesis" (arXiv 2105.05233): residual blocks that also resample,
self-attention at the coarse levels, the time embedding added inside every residual block.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

BLOCKS_PER_LEVEL = 2
HEADS = 4
GROUPS = 32


class UNet(nn.Module):
    """Predicts the noise in a noised image.

    Args:
        base: channels at full resolution, a multiple of 32. The paper: 128.
        multipliers: channels of each level in units of `base`, finest first; each level halves
            the one before. The paper at 256 px: (1, 1, 2, 2, 4, 4).
        attention_levels: the levels with self-attention. The paper: where the feature map is 32,
            16 and 8 px wide.

    Height and width of the image must be multiples of 2 ** (levels - 1).
    """

    def __init__(
        self,
        base: int,
        multipliers: Sequence[int] = (1, 1, 2, 2, 4, 4),
        attention_levels: Sequence[int] = (3, 4, 5),
    ) -> None:
        super().__init__()
        self.base = base
        self.checkpointing = False
        embedding = 4 * base
        self.time_embedding = nn.Sequential(
            nn.Identity(),  # where the official code has the waves
            nn.Linear(base, embedding),
            nn.SiLU(),
            nn.Linear(embedding, embedding),
        )

        widths = [base * multiplier for multiplier in multipliers]
        channels = base
        self.down = nn.ModuleList([Stage([nn.Conv2d(3, base, 3, padding=1)])])
        skips = [base]
        for level, width in enumerate(widths):
            for _ in range(BLOCKS_PER_LEVEL):
                stage: list[nn.Module] = [ResidualBlock(channels, width, embedding)]
                channels = width
                if level in attention_levels:
                    stage.append(Attention(channels))
                self.down.append(Stage(stage))
                skips.append(channels)
            if level < len(widths) - 1:
                self.down.append(Stage([ResidualBlock(channels, channels, embedding, "half")]))
                skips.append(channels)

        self.middle = Stage(
            [
                ResidualBlock(channels, channels, embedding),
                Attention(channels),
                ResidualBlock(channels, channels, embedding),
            ]
        )

        self.up = nn.ModuleList()
        for level, width in reversed(list(enumerate(widths))):
            for block in range(BLOCKS_PER_LEVEL + 1):
                stage = [ResidualBlock(channels + skips.pop(), width, embedding)]
                channels = width
                if level in attention_levels:
                    stage.append(Attention(channels))
                if level > 0 and block == BLOCKS_PER_LEVEL:
                    stage.append(ResidualBlock(channels, channels, embedding, "double"))
                self.up.append(Stage(stage))

        self.out = nn.Sequential(
            nn.GroupNorm(GROUPS, base), nn.SiLU(), _zeroed(nn.Conv2d(base, 3, 3, padding=1))
        )

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """x: noised images [B, 3, H, W]; t: their noise scales [B]. Returns noise [B, 3, H, W]."""
        embedding = self.time_embedding(waves(t, self.base).to(x.dtype))
        skips: list[Tensor] = []
        for stage in self.down:
            x = self._run(stage, x, embedding)
            skips.append(x)
        x = self._run(self.middle, x, embedding)
        for stage in self.up:
            x = self._run(stage, torch.cat((x, skips.pop()), dim=1), embedding)
        return self.out(x)

    def _run(self, stage: nn.Module, x: Tensor, embedding: Tensor) -> Tensor:
        """Run a stage; with `checkpointing`, backward computes what is in it a second time."""
        if self.checkpointing and torch.is_grad_enabled():
            again: Tensor = checkpoint(stage, x, embedding, use_reentrant=False)
            return again
        done: Tensor = stage(x, embedding)
        return done


def waves(t: Tensor, width: int) -> Tensor:
    """[B] noise scales to [B, width]: sines, then cosines, of geometrically spaced frequencies.

    Always in float32: float16 knows an angle of 400 to a quarter of a radian.
    """
    half = width // 2
    frequencies = torch.exp(torch.arange(half, device=t.device) * (-math.log(10_000.0) / half))
    angles = t.float()[:, None] * frequencies
    return torch.cat((angles.sin(), angles.cos()), dim=1)


class Stage(nn.ModuleList):
    """Modules in a row; residual blocks among them also get the time embedding."""

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        for module in self:
            x = module(x, embedding) if isinstance(module, ResidualBlock) else module(x)
        return x


class ResidualBlock(nn.Module):
    """Two convolutions around the time embedding, and a shortcut.

    `resample` ("half" or "double") changes the resolution, without weights, on both ways.
    """

    def __init__(
        self, inputs: int, outputs: int, embedding: int, resample: str | None = None
    ) -> None:
        super().__init__()
        self.resample = resample
        self.in_layers = nn.Sequential(
            nn.GroupNorm(GROUPS, inputs), nn.SiLU(), nn.Conv2d(inputs, outputs, 3, padding=1)
        )
        self.embed_layers = nn.Sequential(nn.SiLU(), nn.Linear(embedding, outputs))
        self.out_layers = nn.Sequential(
            nn.GroupNorm(GROUPS, outputs),
            nn.SiLU(),
            nn.Identity(),  # where the official code has a dropout of rate 0
            _zeroed(nn.Conv2d(outputs, outputs, 3, padding=1)),
        )
        self.skip_connection = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        norm, activation, convolution = self.in_layers
        h = convolution(self._resampled(activation(norm(x))))
        h = h + self.embed_layers(embedding)[:, :, None, None]
        return self.skip_connection(self._resampled(x)) + self.out_layers(h)

    def _resampled(self, x: Tensor) -> Tensor:
        if self.resample == "half":
            return F.avg_pool2d(x, 2)
        if self.resample == "double":
            return F.interpolate(x, scale_factor=2.0, mode="nearest")
        return x


class Attention(nn.Module):
    """Self-attention over all positions, with a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, channels)
        self.to_qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.proj_out = _zeroed(nn.Conv1d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        flat = x.reshape(batch, channels, height * width)
        qkv = self.to_qkv(self.norm(flat))
        # Heads first: each head has its query, key and value side by side.
        qkv = qkv.reshape(batch * HEADS, 3, channels // HEADS, height * width)
        query, key, value = qkv.unbind(1)
        scale = (channels // HEADS) ** -0.25
        weights = torch.softmax((query * scale).transpose(1, 2) @ (key * scale), dim=-1)
        mixed = (value @ weights.transpose(1, 2)).reshape(batch, channels, height * width)
        return x + self.proj_out(mixed).reshape(batch, channels, height, width)


def _zeroed(module: nn.Module) -> nn.Module:
    """A block whose last convolution starts at zero starts as its shortcut."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module
