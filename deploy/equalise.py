"""Channels of one tensor brought closer to one range, so that one INT8 scale suits them all.

Behind a ReLU a channel may be divided by any positive number if whoever reads it multiplies its
weights by the same: the answers stay, to the last digits of a float (Nagel et al., "Data-Free
Quantization Through Weight Equalization and Bias Correction", arXiv 1906.04721). Divided by its
whole range, a channel's largest values would be coded as finely as its neighbours', but its weights
would be as uneven as the ranges were. The square root leaves half of it to either.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deploy.folded import FoldedInspector
from training.networks.edge import EdgeUNet

# A channel of a smaller share of the largest range is as good as silent.
SILENT = 1e-3
SMALLEST_RANGE = 1e-8

Convs = tuple[nn.Conv2d, ...]


@torch.no_grad()
def equalise(line: FoldedInspector, frames: NDArray[np.uint8]) -> FoldedInspector:
    """A copy of `line` that answers alike, its channels scaled by what `frames` stir in them.

    Args:
        frames: real ones, good and not, uint8 [N, H, W, 3].
    """
    line = deepcopy(line)
    readers: dict[Convs, list[tuple[nn.Conv2d, int]]] = {}
    for network, stems in (
        (line.unet, (line.stem,)),
        (line.segmentation, (*_convs(line.segmentation_stems), line.lines.mix)),
    ):
        for makers, reader, first in _edges(network, stems):
            readers.setdefault(makers, []).append((reader, first))
    find, mix = line.lines.find, line.lines.mix
    ranges = _input_ranges(line, {mix, *(edges[0][0] for edges in readers.values())}, frames)
    for makers, edges in readers.items():
        reader, first = edges[0]
        found = ranges[reader][first : first + makers[0].out_channels]
        factor = _spoken(found).sqrt()
        for conv in makers:
            conv.weight /= factor.view(-1, 1, 1, 1)
            if conv.bias is not None:
                conv.bias /= factor
        if line.stem in makers:
            line.constants.noise /= factor.view(1, -1, 1, 1)
        for reader, first in edges:
            reader.weight[:, first : first + len(factor)] *= factor.view(1, -1, 1, 1)
    # What mixes the lines has float weights, to which it is all one.
    factor = _spoken(ranges[mix])
    find.weight /= factor.repeat_interleave(len(find.weight) // len(factor)).view(-1, 1, 1, 1)
    mix.weight *= factor.view(1, -1, 1, 1)
    return line


def _spoken(found: Tensor) -> Tensor:
    """Ranges of channels [C], those of silent ones not quite 0."""
    return found.clamp(min=max(SILENT * float(found.max()), SMALLEST_RANGE))


def _edges(network: EdgeUNet, stems: Convs) -> Iterator[tuple[Convs, nn.Conv2d, int]]:
    """Who reads whose channels behind a ReLU: makers, reader, the first channel there.

    Several makers are added up before the ReLU.
    """
    makers = stems
    skips = []
    for stage in network.down:
        for conv in _convs(stage):
            yield makers, conv, 0
            makers = (conv,)
        skips.append(makers)
    skips.pop()
    for stage in network.up:
        skip, first = skips.pop(), makers[0].out_channels
        for index, conv in enumerate(_convs(stage)):
            yield makers, conv, 0
            if index == 0:
                yield skip, conv, first
            makers = (conv,)
    yield makers, network.head, 0


def _convs(stage: nn.Module) -> list[nn.Conv2d]:
    return [module for module in stage.modules() if isinstance(module, nn.Conv2d)]


def _input_ranges(
    line: nn.Module, convs: set[nn.Conv2d], frames: NDArray[np.uint8]
) -> dict[nn.Conv2d, Tensor]:
    """The largest value in each channel that a convolution reads, [C] each."""
    ranges: dict[nn.Conv2d, Tensor] = {}

    def see(conv: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(conv, nn.Conv2d)
        largest = inputs[0].amax((0, 2, 3))
        ranges[conv] = torch.maximum(ranges[conv], largest) if conv in ranges else largest

    hooks = [conv.register_forward_pre_hook(see) for conv in convs]
    for frame in frames:
        line(torch.from_numpy(frame[None]))
    for hook in hooks:
        hook.remove()
    return ranges
