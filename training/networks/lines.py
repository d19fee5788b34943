"""Hair-thin lines, found by filters that are given, not learnt.

A crack that runs along the grain differs from it in length and depth alone, over a dozen pixels.
Narrow networks that see a square of pixels at a time learn that late or never. The filters are the
matched ones: a ridge one pixel across and a dozen along, dark and bright, in each direction.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

DIRECTIONS = 8
# Bright and dark.
KINDS = 2 * DIRECTIONS
# Squares of pixels that a filter reads, each way; deviations of a ridge's profile, in pixels.
SQUARES = 5
ACROSS, ALONG = 1.0, 4.0


class Lines(nn.Module):
    """Channels of a folded picture for the lines that cross it.

    Args:
        fold: side of the square of pixels folded into channels.
        outputs: channels that what is found is mixed to.
    """

    def __init__(self, fold: int, outputs: int) -> None:
        super().__init__()
        filters = line_filters(fold)
        self.filters: Tensor
        self.register_buffer("filters", filters, persistent=False)
        self.mix = nn.Sequential(
            nn.Conv2d(KINDS, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, grey: Tensor) -> Tensor:
        """grey: [B, fold * fold, h, w], what stands out -> [B, outputs, h, w], no ReLU."""
        found = F.conv2d(grey, self.filters.to(grey.dtype), padding=SQUARES // 2)
        mixed: Tensor = self.mix(strongest(F.relu(found)))
        return mixed


def strongest(found: Tensor) -> Tensor:
    """Of what each filter finds, [B, KINDS * fold, h, w], the most of each kind [B, KINDS, h, w].

    Not the sum: those that do not fit the line say nothing but noise.
    """
    return found.unflatten(1, (KINDS, -1)).amax(2)


def line_filters(fold: int) -> Tensor:
    """Ridges of unit norm and no mean, bright and dark, for pixels folded into channels.

    [KINDS * fold, fold * fold, SQUARES, SQUARES], those of a kind together: a line crosses a
    square as a whole, so that it has one filter for each direction and each pixel across, none
    for each pixel along.
    """
    pixels = torch.arange(SQUARES * fold) - (SQUARES * fold - 1) / 2
    y, x = torch.meshgrid(pixels, pixels, indexing="ij")
    filters = []
    for direction in range(DIRECTIONS):
        angle = math.pi * direction / DIRECTIONS
        along = (x * math.cos(angle) + y * math.sin(angle)) / ALONG
        for offset in range(fold):
            middle = offset - (fold - 1) / 2
            across = (y * math.cos(angle) - x * math.sin(angle) - middle) / ACROSS
            ridge = (1.0 - across**2) * torch.exp(-(across**2 + along**2) / 2)
            ridge = ridge - ridge.mean()
            filters.append(ridge / ridge.norm())
    bright = F.pixel_unshuffle(torch.stack(filters)[:, None], fold)
    return torch.cat((bright, -bright))
