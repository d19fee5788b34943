"""Graphs to compare with, random weights: they show what a shape costs, not what it knows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import shape_inference
from torch import Tensor, nn
from torch.nn import functional as F

from deploy.qdq import LEVELS, insert, place
from training.model import DiffusionAD, FixedNoise
from training.presets import preset

OPSET = 18
# Feature maps of the peak's chain: large enough to keep the cores busy, small enough for their
# caches, as the layers of an edge network are.
CHAIN_CHANNELS, CHAIN_SIDE, CHAIN_LENGTH = 256, 32, 16


class ConvChain(nn.Sequential):
    """3x3 convolution and ReLU, again and again: the best that a runtime makes of the machine."""

    def __init__(self) -> None:
        channels = CHAIN_CHANNELS
        layers: list[nn.Module] = []
        for _ in range(CHAIN_LENGTH):
            layers += [nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU()]
        super().__init__(*layers)


class EfficientAdS(nn.Module):
    """EfficientAD-S, after the tables of Batzner et al., arXiv 2303.14535, appendix A.

    A patch description network as teacher, one of twice the channels as student, and an
    autoencoder; the map is the mean of the squared differences of both pairs. 256 x 256 only.
    """

    def __init__(self) -> None:
        super().__init__()
        self.teacher, self.student = _patch_network(384), _patch_network(768)
        widths = (3, 32, 32, 64, 64, 64)
        layers: list[nn.Module] = []
        for inputs, outputs in zip(widths, widths[1:], strict=False):
            layers += [nn.Conv2d(inputs, outputs, 4, 2, 1), nn.ReLU()]
        self.encoder = nn.Sequential(*layers, nn.Conv2d(64, 64, 8))
        self.decoder = nn.ModuleList(nn.Conv2d(64, 64, 4, padding=2) for _ in range(6))
        self.last = nn.Sequential(
            nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 384, 3, padding=1)
        )

    def forward(self, frame: Tensor) -> tuple[Tensor, Tensor]:
        """frame: uint8 [1, 256, 256, 3] -> map [1, 1, 256, 256], score [1]."""
        image = frame.permute(0, 3, 1, 2).float().flip(1) / 255.0
        of_teacher, of_student = self.teacher(image), self.student(image)
        x = self.encoder(image)
        for side, conv in zip((3, 8, 15, 32, 63, 127), self.decoder, strict=True):
            x = F.relu(conv(_resize(x, side)))
        of_autoencoder = self.last(_resize(x, 64))
        first = (of_teacher - of_student[:, :384]).square().mean(1, keepdim=True)
        second = (of_autoencoder - of_student[:, 384:]).square().mean(1, keepdim=True)
        anomaly_map = _resize((first + second) / 2, 256)
        return anomaly_map, anomaly_map.amax(dim=(1, 2, 3))


def chain_graph() -> bytes:
    """The machine's peak as an INT8 graph."""
    picture = torch.zeros(1, CHAIN_CHANNELS, CHAIN_SIDE, CHAIN_SIDE)
    return _int8(_export(_random(ConvChain()), picture))


def efficientad_graph() -> bytes:
    """EfficientAD-S as an INT8 graph."""
    return _int8(_export(_random(EfficientAdS()), torch.zeros(1, 256, 256, 3, dtype=torch.uint8)))


def official_call(input_size: tuple[int, int]) -> tuple[Callable[[], None], float]:
    """DiffusionAD at its official size in PyTorch, float32: one call is one frame; its GFLOP."""
    inspector = FixedNoise(DiffusionAD.of(preset("paper")), input_size, seed=0).eval()
    frame = torch.zeros((1, *input_size, 3), dtype=torch.uint8)

    def call() -> None:
        with torch.inference_mode():
            inspector(frame)

    return call, _torch_gflop(inspector, frame)


def graph_gflop(model: bytes) -> float:
    """Operations of a graph's convolutions and matrix products, 2 a multiply-add, in 10^9."""
    graph = shape_inference.infer_shapes(onnx.load_from_string(model)).graph
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*graph.value_info, *graph.output)
    }
    shapes |= {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    total = 0.0
    for node in graph.node:
        if node.op_type == "Conv":
            total += 2.0 * np.prod(shapes[node.output[0]]) * np.prod(shapes[node.input[1]][1:])
        elif node.op_type in ("MatMul", "Gemm"):
            total += 2.0 * np.prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]
    return float(total) / 1e9


def _torch_gflop(module: nn.Module, frame: Tensor) -> float:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(frame)
    return counter.get_total_flops() / 1e9


def _patch_network(outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 128, 4, padding=3),
        nn.ReLU(),
        nn.AvgPool2d(2, 2, 1),
        nn.Conv2d(128, 256, 4, padding=3),
        nn.ReLU(),
        nn.AvgPool2d(2, 2, 1),
        nn.Conv2d(256, 256, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(256, outputs, 4),
    )


def _resize(x: Tensor, side: int) -> Tensor:
    return F.interpolate(x, size=(side, side), mode="bilinear")


def _random(module: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for child in module.modules():
        if isinstance(child, nn.Conv2d):
            nn.init.kaiming_normal_(child.weight)
    return module.eval()


def _export(module: nn.Module, example: Tensor) -> bytes:
    program = torch.onnx.export(
        module, (example,), input_names=["frame"], opset_version=OPSET, dynamo=True, verbose=False
    )
    assert program is not None
    return bytes(program.model_proto.SerializeToString())


def _int8(model: bytes) -> bytes:
    """Quantised all over; with nothing to be accurate about, any scale will do."""
    graph = onnx.load_from_string(model)
    placement = place(graph, raw_pictures=True)
    scales = dict.fromkeys(set(placement.groups.values()), 4.0 / LEVELS)
    insert(graph, placement, scales)
    return bytes(graph.SerializeToString())


def example_input(model: bytes) -> NDArray:
    """Random values of the type and shape of a graph's only input."""
    tensor = onnx.load_from_string(model).graph.input[0].type.tensor_type
    shape = [dim.dim_value for dim in tensor.shape.dim]
    rng = np.random.default_rng(0)
    if tensor.elem_type == onnx.TensorProto.UINT8:
        return rng.integers(0, 256, shape, np.uint8)
    return rng.random(shape, np.float32)
