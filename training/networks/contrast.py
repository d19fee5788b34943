"""What stands out: differences in units of how much their surroundings differ.

A hair crack in a dark part is three grey levels deep, one in a bright part thirty, and shading runs
over a hundred. A network of convolutions cannot divide, and has to learn each of them. Divided for
it, they look alike from the first step on.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

# Squares of pixels whose mean is taken, and how many of them, each way, are surroundings.
CELL = 8
NEAR, WIDE = 3, 5
# Two grey levels: below, nothing is seen but the camera's noise.
FLOOR = 2 / 255
# Deviations that are told apart; what stands out further stands out.
LIMIT = 5.0
# What stands out has as many levels, each way, as a signed byte: what INT8 would round is round
# from the start, and costs nothing there. A level is 1/25 of the deviation.
LEVELS = 127


def detail(image: Tensor) -> Tensor:
    """[B, C, H, W], sides multiples of `CELL` -> the same, less the mean of the surroundings."""
    means = near(F.avg_pool2d(image, CELL), NEAR)
    return image - F.interpolate(means, scale_factor=float(CELL), mode="bilinear")


def standing_out(difference: Tensor) -> Tensor:
    """Differences [B, C, H, W] over their root mean square around, -1 .. 1 for +-`LIMIT` of it.

    In `whole_levels`.
    """
    power = near(F.avg_pool2d(difference.square(), CELL), WIDE)
    scale = LIMIT * torch.sqrt(power + FLOOR**2)
    scale = F.interpolate(scale, scale_factor=float(CELL), mode="nearest")
    return whole_levels((difference / scale).clamp(-1.0, 1.0))


def whole_levels(x: Tensor) -> Tensor:
    """-1 .. 1 rounded to `LEVELS` each way, with the slope of what is rounded."""
    return x + ((x * LEVELS).round() / LEVELS - x).detach()


def near(cells: Tensor, side: int) -> Tensor:
    """The mean of each square of side x side cells, of those inside the picture."""
    return F.avg_pool2d(cells, side, 1, side // 2, count_include_pad=False)
