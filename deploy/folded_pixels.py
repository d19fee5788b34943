"""What stands out, and the score, calculated where pixels are folded into channels.

The same values from a few small maps: the squares of pixels that are channels already are averaged
first, and means are spread out again by one small convolution. No picture is turned round for it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.losses import SQUARE, SQUARES, top_k_score
from training.networks.contrast import CELL, FLOOR, LEVELS, LIMIT, NEAR, WIDE, near


class FoldedContrast(nn.Module):
    """Constants of the size of a fold, and what is calculated with them.

    All of it is convolutions and operators on single values: these a runtime does in whatever
    order it keeps the channels, where to reshape them would cost a copy in another order.

    Args:
        side: of the squares of pixels that are channels, half a cell.
        colours: of a pixel.
    """

    def __init__(self, side: int, colours: int) -> None:
        super().__init__()
        if 2 * side != CELL:
            raise ValueError(f"pixels are folded by {CELL // 2}, not by {side}")
        self.spread: Tensor
        self.gather: Tensor
        self.repeat: Tensor
        self.mean_colour: Tensor
        self.colours = colours
        repeat = torch.eye(colours).repeat(side * side, 1)[..., None, None]
        self.register_buffer("spread", _spread_weight(side, colours))
        self.register_buffer("repeat", repeat)
        self.register_buffer("gather", repeat.transpose(0, 1) / side**2)
        mean = torch.eye(side * side).repeat_interleave(colours, dim=1) / colours
        self.register_buffer("mean_colour", mean[..., None, None])

    def detail(self, picture: Tensor) -> Tensor:
        """`detail` of a picture [1, S * S * C, h, w] from `fold`."""
        means = _repeated(near(self._cells(picture), NEAR))
        return picture - F.conv2d(F.pad(means, (1, 1, 1, 1), mode="replicate"), self.spread)

    def standing_out(self, difference: Tensor) -> Tensor:
        """`standing_out`, in levels, of differences [1, S * S * C, h, w] in the order of `fold`."""
        power = near(self._cells(difference.square()), WIDE)
        part = _repeated(LEVELS / (LIMIT * torch.sqrt(power + FLOOR**2)))
        return (difference * F.conv2d(part, self.repeat)).clamp(-LEVELS, LEVELS).round()

    def grey(self, levels: Tensor) -> Tensor:
        """The mean of the colours, [1, S * S, h, w], of levels [1, S * S * C, h, w]: levels."""
        return F.conv2d(levels, self.mean_colour).round()

    def _cells(self, x: Tensor) -> Tensor:
        """Means of the cells, [1, C, h / 2, w / 2]."""
        return F.avg_pool2d(F.conv2d(x, self.gather), 2)


def folded_score(logits: Tensor) -> Tensor:
    """`squares_score` of a map [1, S * S, h, w] as the network leaves it."""
    if logits.shape[1] != SQUARE**2:
        raise ValueError(f"the score is of squares of {SQUARE}, as large as the fold")
    return top_k_score(logits.mean(1), SQUARES)


def _spread_weight(side: int, colours: int) -> Tensor:
    """Weight [S * S * colours, colours, 3, 3] of the convolution that spreads means over pixels.

    It reads means that stand twice in a row, and interpolates them linearly: of the three that a
    square sees along either axis two are always the same mean, so that the weights do not depend
    on which half of the cell the square is.
    """
    place = (torch.arange(side) + 0.5) / CELL
    along = torch.stack((0.5 - place, torch.full((side,), 0.5), place), dim=1)
    pixels = torch.einsum("yi,xj->yxij", along, along)
    weight = torch.einsum("yxij,ck->yxckij", pixels, torch.eye(colours))
    return weight.reshape(side * side * colours, colours, 3, 3)


def _repeated(cells: Tensor) -> Tensor:
    return F.interpolate(cells, scale_factor=2.0, mode="nearest")
