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
# Pixels: from the middle of a filter to its edge, and the deviations of its profile.
REACH = 8
ACROSS, ALONG = 1.0, 4.0


class Lines(nn.Module):
    """Channels of a folded picture for the lines that cross it.

    Args:
        fold: side of the square of pixels folded into channels; `REACH` is a multiple of it.
        outputs: channels that what is found is mixed to.
    """

    def __init__(self, fold: int, outputs: int) -> None:
        super().__init__()
        filters = folded_line_filters(fold)
        self.filters: Tensor
        self.register_buffer("filters", filters, persistent=False)
        self.mix = nn.Sequential(
            nn.Conv2d(len(filters), outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        )

    def forward(self, grey: Tensor) -> Tensor:
        """grey: [B, fold * fold, h, w], what stands out -> [B, outputs, h, w], no ReLU."""
        found = F.conv2d(grey, self.filters.to(grey.dtype), padding=self.filters.shape[-1] // 2)
        mixed: Tensor = self.mix(F.relu(found))
        return mixed


def line_filters() -> Tensor:
    """[DIRECTIONS, side, side]: bright ridges of unit norm and no mean."""
    pixels = torch.arange(-REACH, REACH + 1, dtype=torch.float32)
    y, x = torch.meshgrid(pixels, pixels, indexing="ij")
    filters = []
    for direction in range(DIRECTIONS):
        angle = math.pi * direction / DIRECTIONS
        along = (x * math.cos(angle) + y * math.sin(angle)) / ALONG
        across = (y * math.cos(angle) - x * math.sin(angle)) / ACROSS
        ridge = (1.0 - across**2) * torch.exp(-(across**2 + along**2) / 2)
        ridge = ridge - ridge.mean()
        filters.append(ridge / ridge.norm())
    return torch.stack(filters)


def folded_line_filters(fold: int) -> Tensor:
    """The filters, bright and dark, for pixels folded into channels.

    [2 * DIRECTIONS * fold * fold, fold * fold, K, K]: each pixel of a square has filters of its
    own, placed where it is, in the order of `pixel_unshuffle`.
    """
    filters = line_filters()
    placed = torch.stack(
        [
            F.pad(filters, (x, fold - 1 - x, y, fold - 1 - y))
            for y in range(fold)
            for x in range(fold)
        ],
        dim=1,
    )
    bright = F.pixel_unshuffle(placed.flatten(0, 1)[:, None], fold)
    return torch.cat((bright, -bright))
