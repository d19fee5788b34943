"""TensorRT's rules for a quantised ONNX graph, checked without TensorRT.

After NVIDIA's "Working with Quantized Types" (explicit quantisation) and its table of ONNX
operators, for TensorRT 10 and 11. A graph that passes can be built; how fast, only a device tells.
"""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from agent.errors import InputError

QUANTISERS = ("QuantizeLinear", "DequantizeLinear")
# What normline's graphs are made of and TensorRT's ONNX parser takes.
OPERATORS = {
    *QUANTISERS,
    *("Add", "AveragePool", "Cast", "Clip", "Concat", "Constant", "Conv", "DepthToSpace", "Div"),
    *("Equal", "Expand", "Flatten", "Gather", "Gemm", "GroupNormalization", "Identity"),
    *("InstanceNormalization", "MatMul", "Max", "MaxPool", "Min", "Mul", "Pad", "Pow"),
    *("Reciprocal", "ReduceMax", "ReduceMean", "Relu", "Reshape", "Resize", "Round", "Shape"),
    *("Sigmoid", "Slice", "Softmax", "SpaceToDepth", "Split", "Sqrt", "Squeeze", "Sub", "Tile"),
    *("TopK", "Transpose", "Unsqueeze", "Where"),
}
LARGEST_TOP_K = 3840


def check_rules(model: bytes, precision: str) -> None:
    """Refuse an ONNX model of a precision that TensorRT would not take.

    Raises:
        InputError: with the first broken rules.
    """
    if broken := broken_rules(onnx.load_from_string(model)):
        more = f" (and {len(broken) - 3} more)" if len(broken) > 3 else ""
        raise InputError(
            f"TensorRT would refuse the {precision} model: {'; '.join(broken[:3])}{more}"
        )


def broken_rules(model: onnx.ModelProto) -> list[str]:
    """The rules that a graph breaks, a line each."""
    graph = _Graph(model)
    broken: list[str] = []
    for node in model.graph.node:
        if node.op_type not in OPERATORS or node.domain not in ("", "ai.onnx"):
            broken.append(f"{node.name}: no operator {node.domain or 'ai.onnx'}.{node.op_type}")
        elif node.op_type in QUANTISERS:
            broken += _quantiser_rules(graph, node)
        elif node.op_type == "Conv":
            broken += _conv_rules(graph, node)
        elif node.op_type == "TopK":
            wanted = graph.constants.get(node.input[1])
            if wanted is None or wanted.size != 1 or int(wanted.item()) > LARGEST_TOP_K:
                broken.append(f"{node.name}: k must be a constant of at most {LARGEST_TOP_K}")
    return broken + _byte_rules(graph)


class _Graph:
    """Who makes and who reads every tensor."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.graph = model.graph
        self.constants: dict[str, NDArray] = {
            tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer
        }
        self.makers: dict[str, onnx.NodeProto] = {}
        self.readers: dict[str, list[onnx.NodeProto]] = {}
        for node in model.graph.node:
            for name in node.output:
                self.makers[name] = node
            for name in node.input:
                self.readers.setdefault(name, []).append(node)
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                self.constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)

    def is_from(self, name: str, kind: str) -> bool:
        """Whether `name` is made by an operator of this kind."""
        return name in self.makers and self.makers[name].op_type == kind


def _quantiser_rules(graph: _Graph, node: onnx.NodeProto) -> list[str]:
    scale = graph.constants.get(node.input[1])
    if scale is None:
        return [f"{node.name}: its scale is not a constant"]
    broken = []
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        broken.append(f"{node.name}: its scale is not positive and finite")
    zero = graph.constants.get(node.input[2]) if len(node.input) > 2 else None
    if zero is None or zero.dtype != np.int8 or zero.any():
        kind = "none" if zero is None else f"{zero.dtype} {zero.ravel()[:1]}"
        broken.append(f"{node.name}: the zero point must be int8 0, not {kind}")
    weight = node.op_type == "DequantizeLinear" and node.input[0] in graph.constants
    axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
    if scale.size > 1 and not (weight and axis == 0):
        broken.append(f"{node.name}: only weights may have a scale for each output channel")
    if node.op_type == "QuantizeLinear":
        for reader in graph.readers.get(node.output[0], []):
            if reader.op_type != "DequantizeLinear" or reader.input[1:] != node.input[1:]:
                broken.append(f"{node.name}: {reader.name} does not dequantise as it quantised")
    return broken


def _conv_rules(graph: _Graph, node: onnx.NodeProto) -> list[str]:
    data = graph.is_from(node.input[0], "DequantizeLinear")
    weight = graph.is_from(node.input[1], "DequantizeLinear")
    if data != weight:
        return [f"{node.name}: INT8 needs both its data and its weight quantised"]
    if len(node.input) > 2 and graph.is_from(node.input[2], "DequantizeLinear"):
        return [f"{node.name}: its bias must not be quantised"]
    return []


def _byte_rules(graph: _Graph) -> list[str]:
    """Bytes come in and go out through a Cast, and every shape is known."""
    broken = []
    for kind, values in (("input", graph.graph.input), ("output", graph.graph.output)):
        for value in values:
            tensor = value.type.tensor_type
            if not all(dim.HasField("dim_value") for dim in tensor.shape.dim):
                broken.append(f"{kind} {value.name}: its shape is not fixed")
            if tensor.elem_type != TensorProto.UINT8:
                continue
            ends = (
                graph.readers.get(value.name, []) if kind == "input" else [graph.makers[value.name]]
            )
            if any(node.op_type != "Cast" for node in ends):
                broken.append(f"{kind} {value.name}: uint8 must meet a Cast first")
    return broken
