"""The edge U-Net: convolutions that an INT8 runtime runs at full speed, and nothing else.

Compared with the official networks: pixels are folded into channels before the first convolution
(no narrow full-resolution layers), normalisation is BatchNorm (folds into the convolution before
it) and the activation is ReLU (fuses behind it). The noise scale enters once, after the stem, as
a bias per channel, so that at a fixed t it is a constant of the exported graph.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.networks.contrast import whole_levels
from training.networks.lines import Lines

# Brings t, 0 .. 999, into 0 .. 1.
T_SPAN = 1000.0


class ConvBlock(nn.Sequential):
    """3x3 convolution, BatchNorm, ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class EdgeUNet(nn.Module):
    """U-Net over pixel-unshuffled input.

    Args:
        inputs: channels of the image that comes in.
        outputs: channels of the image that goes out, at the same size.
        fold: side of the square of pixels folded into channels (a power of two).
        widths: channels of each level, finest first; each level halves the one before.
        blocks: convolution blocks a level, on the way down and again on the way up.
        timed: whether the network takes a noise scale t.
        lines: whether it is told of thin lines in the last quarter of the image's channels.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        fold: int,
        widths: tuple[int, ...],
        blocks: int,
        timed: bool,
        lines: bool = False,
    ) -> None:
        super().__init__()
        self.fold = fold
        self.stem = nn.Sequential(
            nn.Conv2d(inputs * fold**2, widths[0], 3, padding=1, bias=False),
            nn.BatchNorm2d(widths[0]),
        )
        self.scale_bias = (
            nn.Sequential(nn.Linear(1, 64), nn.ReLU(), nn.Linear(64, widths[0])) if timed else None
        )
        self.lines = Lines(fold, widths[0]) if lines else None
        self.down = nn.ModuleList()
        for level, width in enumerate(widths):
            first = (
                ConvBlock(width, width)
                if level == 0
                else ConvBlock(widths[level - 1], width, stride=2)
            )
            rest = (ConvBlock(width, width) for _ in range(blocks - 1))
            self.down.append(nn.Sequential(first, *rest))
        self.up = nn.ModuleList()
        for level in reversed(range(len(widths) - 1)):
            width = widths[level]
            first = ConvBlock(widths[level + 1] + width, width)
            rest = (ConvBlock(width, width) for _ in range(blocks - 1))
            self.up.append(nn.Sequential(first, *rest))
        self.head = nn.Conv2d(widths[0], outputs * fold**2, 1)

    def forward(self, image: Tensor, t: Tensor | None = None) -> Tensor:
        """image: [B, inputs, H, W] -> [B, outputs, H, W]; t: [B] noise scales, 0 .. 999."""
        x = self.features(F.relu(self.stem_features(image, t)))
        return F.pixel_shuffle(x, self.fold)

    def stem_features(self, image: Tensor, t: Tensor | None = None) -> Tensor:
        """What the stem makes of the image, with the bias of t and the lines; no ReLU.

        Linear in the image where no lines are looked for.
        """
        x: Tensor = self.stem(F.pixel_unshuffle(image, self.fold))
        if self.lines is not None:
            grey = whole_levels(image.chunk(4, 1)[-1].mean(1, keepdim=True))
            x = x + self.lines(F.pixel_unshuffle(grey, self.fold))
        if self.scale_bias is not None:
            if t is None:
                raise ValueError("this network needs the noise scale t")
            scale = (t.to(x.dtype) / T_SPAN)[:, None]
            x = x + self.scale_bias(scale)[:, :, None, None]
        return x

    def features(self, x: Tensor) -> Tensor:
        """From behind the stem's ReLU to the head: [B, outputs * fold * fold, H/fold, W/fold]."""
        skips: list[Tensor] = []
        for stage in self.down:
            x = stage(x)
            skips.append(x)
        skips.pop()
        for stage in self.up:
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = stage(torch.cat((x, skips.pop()), dim=1))
        out: Tensor = self.head(x)
        return out
