"""Channels are evened out, and nobody notices but the quantiser."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from deploy.equalise import equalise
from deploy.folded import FoldedInspector
from deploy.graph import export_graph
from deploy.quantise import measure_scales, quantise
from tests.deploy.networks import random_frames, random_inspector
from tests.deploy.plates import SIDE
from tests.deploy.test_quantise import by_onnxruntime

FRAMES = random_frames()


@pytest.fixture(scope="module")
def line() -> FoldedInspector:
    """One channel in eight of every convolution is a hundred times as loud as its neighbours."""
    inspector = random_inspector()
    with torch.no_grad():
        for module in inspector.model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight[::8] *= 100.0
                module.bias[::8] *= 100.0
            elif isinstance(module, nn.Conv2d) and module.in_channels in (32, 48, 80):
                module.weight[:, ::8] /= 100.0
    return FoldedInspector(inspector).eval()


def test_the_answers_stay(line: FoldedInspector) -> None:
    even = equalise(line, FRAMES)
    for frame in random_frames(8):
        with torch.inference_mode():
            expected, found = (
                line(torch.from_numpy(frame[None])),
                even(torch.from_numpy(frame[None])),
            )
        for one, other in zip(found[:2], expected[:2], strict=True):
            torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-3)


def test_int8_comes_closer(line: FoldedInspector) -> None:
    uneven, even = (
        export_graph(each, (SIDE, SIDE), "fp32") for each in (line, equalise(line, FRAMES))
    )
    exact = by_onnxruntime(uneven, FRAMES)

    def distance(graph: bytes) -> float:
        int8 = quantise(graph, measure_scales(graph, FRAMES))
        return float(np.abs(by_onnxruntime(int8, FRAMES) - exact).mean())

    assert distance(even) < 0.5 * distance(uneven)


def test_a_channel_that_never_speaks_is_no_reason_to_divide_by_nothing() -> None:
    inspector = random_inspector()
    norm = next(m for m in inspector.model.unet.down.modules() if isinstance(m, nn.BatchNorm2d))
    with torch.no_grad():
        norm.weight[3], norm.bias[3] = 0.0, -1.0
    even = equalise(FoldedInspector(inspector).eval(), FRAMES)
    assert all(torch.isfinite(parameter).all() for parameter in even.parameters())
