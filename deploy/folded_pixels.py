"""What stands out, and the score, calculated where pixels are folded into channels.

The same values from a few small maps: the squares of pixels that are channels already are averaged
first, and means are spread out again by one small convolution. No picture is turned round for it.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from training.losses import WINDOW
from training.networks.contrast import CELL, FLOOR, LIMIT, NEAR, WIDE, near

COLOURS = 3


def spread_weight(side: int) -> Tensor:
    """Weight [side * side * 3, 3, 3, 3] of the convolution that spreads means over pixels.

    It reads means that stand CELL / side times in a row, and interpolates them linearly: of the
    three that a pixel's square sees along either axis two are always the same mean, so that the
    weights do not depend on which half of the cell the square is.
    """
    if 2 * side != CELL:
        raise ValueError(f"pixels are folded by {CELL // 2}, not by {side}")
    place = (torch.arange(side) + 0.5) / CELL
    along = torch.stack((0.5 - place, torch.full((side,), 0.5), place), dim=1)
    pixels = torch.einsum("yi,xj->yxij", along, along)
    colours = torch.eye(COLOURS)
    weight = torch.einsum("yxij,ck->yxckij", pixels, colours)
    return weight.reshape(side * side * COLOURS, COLOURS, 3, 3)


def folded_detail(picture: Tensor, spread: Tensor) -> Tensor:
    """`detail` of a picture [1, S * S * 3, h, w] from `fold`; spread: from `spread_weight`."""
    means = _repeated(near(_cells(picture), NEAR))
    return picture - F.conv2d(F.pad(means, (1, 1, 1, 1), mode="replicate"), spread)


def folded_standing_out(difference: Tensor) -> Tensor:
    """`standing_out` of differences [1, S * S * 3, h, w] in the order of `fold`."""
    power = near(_cells(difference.square()), WIDE)
    part = _repeated(1.0 / (LIMIT * torch.sqrt(power + FLOOR**2)))
    _, stacked, rows, columns = difference.shape
    pixels = difference.reshape(1, stacked // COLOURS, COLOURS, rows, columns)
    return (pixels * part[:, None]).clamp(-1.0, 1.0).reshape(difference.shape)


def folded_window_score(logits: Tensor) -> Tensor:
    """`window_score` of a map [1, S * S, h, w] as the network leaves it, S half a window."""
    if logits.shape[1] != (WINDOW // 2) ** 2:
        raise ValueError(f"the score is of windows of {WINDOW}, twice the fold")
    halves = logits.mean(1, keepdim=True)
    return F.avg_pool2d(halves, 2, 1).flatten(1).amax(1)


def _cells(x: Tensor) -> Tensor:
    """Means of the cells, [1, 3, h / 2, w / 2]."""
    _, stacked, rows, columns = x.shape
    squares = x.reshape(1, stacked // COLOURS, COLOURS, rows, columns).mean(1)
    return F.avg_pool2d(squares, 2)


def _repeated(cells: Tensor) -> Tensor:
    return F.interpolate(cells, scale_factor=2.0, mode="nearest")
