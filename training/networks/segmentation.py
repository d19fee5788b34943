"""The paper's segmentation network: the discriminative U-Net of DRAEM, tensor for tensor.

Zavrtanik et al., "DRAEM - A discriminatively trained reconstruction embedding for surface anomaly
detection" (arXiv 2108.07610), with the tensor names of the official DiffusionAD code.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class SegmentationNet(nn.Module):
    """Finds where an image differs from its reconstruction in a way that matters.

    Args:
        base: channels at full resolution. The paper: 64.

    Height and width must be multiples of 32.
    """

    def __init__(self, base: int) -> None:
        super().__init__()
        self.encoder_segment = Encoder(base)
        self.decoder_segment = Decoder(base)

    def forward(self, pair: Tensor) -> Tensor:
        """pair: image and reconstruction, RGB [B, 6, H, W]. Returns logits [B, 1, H, W].

        The official network ends in the sigmoid of these logits.
        """
        return self.decoder_segment(self.encoder_segment(pair))


class Encoder(nn.Module):
    """Six levels, each half the size of the one before."""

    def __init__(self, base: int) -> None:
        super().__init__()
        self.block1 = _double(6, base)
        self.block2 = _double(base, 2 * base)
        self.block3 = _double(2 * base, 4 * base)
        self.block4 = _double(4 * base, 8 * base)
        self.block5 = _double(8 * base, 8 * base)
        self.block6 = _double(8 * base, 8 * base)

    def forward(self, x: Tensor) -> list[Tensor]:
        """The feature maps of all levels, finest first."""
        features = [self.block1(x)]
        for block in (self.block2, self.block3, self.block4, self.block5, self.block6):
            features.append(block(F.max_pool2d(features[-1], 2)))
        return features


class Decoder(nn.Module):
    """Five levels up, each joined with the encoder's features of its size."""

    def __init__(self, base: int) -> None:
        super().__init__()
        self.up_b, self.db_b = _up(8 * base, 8 * base), _double(16 * base, 8 * base)
        self.up1, self.db1 = _up(8 * base, 4 * base), _double(12 * base, 4 * base)
        self.up2, self.db2 = _up(4 * base, 2 * base), _double(6 * base, 2 * base)
        self.up3, self.db3 = _up(2 * base, base), _double(3 * base, base)
        self.up4, self.db4 = _up(base, base), _double(2 * base, base)
        self.fin_out = nn.Sequential(nn.Conv2d(base, 1, 3, padding=1))

    def forward(self, features: list[Tensor]) -> Tensor:
        """features: of the encoder, finest first. Returns logits [B, 1, H, W]."""
        ups = (self.up_b, self.up1, self.up2, self.up3, self.up4)
        joins = (self.db_b, self.db1, self.db2, self.db3, self.db4)
        x = features[-1]
        for up, join, skip in zip(ups, joins, reversed(features[:-1]), strict=True):
            x = join(torch.cat((up(x), skip), dim=1))
        return self.fin_out(x)


def _double(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(*_convolution(inputs, outputs), *_convolution(outputs, outputs))


def _up(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
        *_convolution(inputs, outputs),
    )


def _convolution(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    return (
        nn.Conv2d(inputs, outputs, 3, padding=1),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )
