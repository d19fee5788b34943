"""Where a graph is INT8: QuantizeLinear and DequantizeLinear around every convolution.

The rules are TensorRT's, the strictest of the three runtimes: int8, zero point 0, one scale for an
activation, one for each output channel of a weight, biases in float. OpenVINO reads the same
nodes. ONNX Runtime goes on in INT8 only where codes stand in front of an operator and behind it,
so operators that merely move values have them on both sides, all of one scale: no code changes
on the way.

Behind a ReLU every code is 0 .. 127, and all those tensors name one zero point, UNSIGNED_ZERO, and
scales that end in UNSIGNED_SCALE: by these `agent.engine.unsigned` turns them into uint8 on CPUs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from agent.engine.unsigned import SIGNED_ZERO, UNSIGNED_SCALE, UNSIGNED_ZERO
from deploy.folded import GREY, PICTURE_WEIGHTS, SEGMENTATION_WEIGHTS

# Operators that hand values on as they are, some of them, or their mean: none leaves the range.
MOVERS = {
    "Resize": 1,
    "Concat": None,
    "Reshape": 1,
    "Transpose": 1,
    "AveragePool": 1,
    "ReduceMax": 1,
}
# Below this a scale is that of nothing at all; float32 holds it with room to spare.
SMALLEST_SCALE = 1e-8
# Of the largest weight. Nobody would see what a channel of smaller ones adds, and ONNX Runtime
# makes its bias an int32 in units of the channel's scale, which it would outgrow.
SMALLEST_CHANNEL = 2.0**-10
LEVELS = 127.0
# A convolution of a raw picture, 0..1: signed int8 would leave it seven bits.
PICTURE_CHANNELS = (3, 6)
# These are sums of a few values, and float keeps them exact. What the lines are mixed to reaches
# so far, for an edge of the part, that INT8 gave the score two thirds of its variance there.
FLOAT_WEIGHTS = (
    *("contrast.spread", "contrast.gather", "contrast.repeat", "contrast.mean_colour"),
    *("lines.mix.weight", "grey_thrice"),
)
# Convolutions whose answer (behind its ReLU, if any) no other reads in INT8, and which is coded
# nevertheless: ONNX Runtime would calculate them in float. Not that of what stands out from its
# surroundings: it is the loudest, and so coarse a code would cost more than all others together.
CODED_OUTPUTS = ("stem.weight", *SEGMENTATION_WEIGHTS[:3], "lines.find.weight")


@dataclass(frozen=True)
class Placement:
    """Which tensors of a graph become int8.

    groups: group of every tensor that is quantised; tensors of one group share a scale.
    unsigned: groups whose values all come from ReLUs.
    pictures: groups whose scale is a grey level.
    readers: group that every quantised convolution reads, by the name of its weight.
    outputs: tensors that whoever reads them reads as codes, with the weight that made each.
    """

    groups: dict[str, str]
    unsigned: frozenset[str]
    pictures: frozenset[str]
    readers: dict[str, str]
    outputs: dict[str, str]


def place(model: onnx.ModelProto, *, raw_pictures: bool = False) -> Placement:
    """Find the tensors to quantise: what convolutions read, back to where it is calculated.

    Args:
        raw_pictures: quantise the convolutions of raw pictures too, whatever it costs them.
    """
    producers = {name: node for node in model.graph.node for name in node.output}
    convs = _quantised_convs(model, () if raw_pictures else PICTURE_CHANNELS)
    parents: dict[str, str] = {}

    def root(name: str) -> str:
        while parents.setdefault(name, name) != name:
            name = parents[name]
        return name

    sources = set()
    relus = {node.input[0]: node.output[0] for node in model.graph.node if node.op_type == "Relu"}
    outputs = {
        relus.get(node.output[0], node.output[0]): node.input[1]
        for node in convs
        if node.input[1] in CODED_OUTPUTS
    }
    queue = [*(node.input[0] for node in convs), *outputs]
    seen: set[str] = set()
    while queue:
        name = queue.pop()
        if name in seen:
            continue
        seen.add(name)
        node = producers.get(name)
        if node is None or node.op_type not in MOVERS:
            sources.add(name)
            root(name)
            continue
        for source in node.input[: MOVERS[node.op_type]]:
            parents[root(source)] = root(name)
            queue.append(source)
    groups = {name: root(name) for name in sorted(seen)}
    behind_relu = {name for name, node in producers.items() if node.op_type == "Relu"}
    signed = {groups[name] for name in sources - behind_relu}
    readers = {node.input[1]: groups[node.input[0]] for node in convs}
    return Placement(
        groups,
        frozenset(groups.values()) - signed,
        frozenset(group for weight, group in readers.items() if weight in PICTURE_WEIGHTS),
        readers,
        outputs,
    )


def insert(model: onnx.ModelProto, placement: Placement, scales: dict[str, float]) -> None:
    """Quantise the weights and put the nodes in, in place.

    Args:
        scales: of every group but the pictures'.
    """
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    zero = np.zeros((), np.int8)
    graph.initializer.append(numpy_helper.from_array(zero, SIGNED_ZERO))
    if placement.unsigned:
        graph.initializer.append(numpy_helper.from_array(zero, UNSIGNED_ZERO))
    for group in sorted(set(placement.groups.values())):
        scale = GREY if group in placement.pictures else max(scales[group], SMALLEST_SCALE)
        name = _scale_name(group, placement)
        graph.initializer.append(numpy_helper.from_array(np.float32(scale), name))
    for name in placement.readers:
        graph.initializer.remove(constants[name])
        codes, steps = quantise_weight(numpy_helper.to_array(constants[name]))
        zeros = np.zeros(len(steps), np.int8)
        for values, suffix in ((codes, "codes"), (steps, "scale"), (zeros, "zero")):
            graph.initializer.append(numpy_helper.from_array(values, f"{name}_{suffix}"))
    nodes = []
    for value in graph.input:
        if value.name in placement.groups:
            nodes += _pair(value.name, placement)
    for name in placement.readers:
        inputs = [f"{name}_codes", f"{name}_scale", f"{name}_zero"]
        nodes.append(
            helper.make_node("DequantizeLinear", inputs, [name], f"{name}_dequantise", axis=0)
        )
    for node in graph.node:
        codes_in = node.op_type == "Conv" and node.input[1] in placement.readers
        if codes_in or (node.op_type in MOVERS and node.output[0] in placement.groups):
            for index, name in enumerate(node.input[: 1 if codes_in else MOVERS[node.op_type]]):
                node.input[index] = f"{name}_dequantised"
        for index, name in enumerate(node.input):
            if name in placement.outputs:
                node.input[index] = f"{name}_dequantised"
        nodes.append(node)
        for name in node.output:
            if name in placement.groups:
                nodes += _pair(name, placement)
    del graph.node[:]
    graph.node.extend(nodes)


def quantise_weight(weight: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Codes of a weight [C, ...] and its scales [C]."""
    largest = np.abs(weight.reshape(len(weight), -1)).max(axis=1)
    largest = np.maximum(largest, largest.max() * SMALLEST_CHANNEL)
    steps = np.maximum(largest / LEVELS, SMALLEST_SCALE).astype(np.float32)
    codes = np.round(weight / steps.reshape(-1, *[1] * (weight.ndim - 1)))
    return np.clip(codes, -LEVELS, LEVELS).astype(np.int8), steps


def _quantised_convs(model: onnx.ModelProto, left_out: tuple[int, ...]) -> list[onnx.NodeProto]:
    weights = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    return [
        node
        for node in model.graph.node
        if node.op_type == "Conv"
        and node.input[1] in weights
        and node.input[1] not in FLOAT_WEIGHTS
        and weights[node.input[1]][1] not in left_out
    ]


def _scale_name(group: str, placement: Placement) -> str:
    return group + (UNSIGNED_SCALE if group in placement.unsigned else "_scale")


def _pair(name: str, placement: Placement) -> list[onnx.NodeProto]:
    group = placement.groups[name]
    zero = UNSIGNED_ZERO if group in placement.unsigned else SIGNED_ZERO
    grid = [_scale_name(group, placement), zero]
    return [
        helper.make_node("QuantizeLinear", [name, *grid], [f"{name}_codes"], f"{name}_quantise"),
        helper.make_node(
            "DequantizeLinear",
            [f"{name}_codes", *grid],
            [f"{name}_dequantised"],
            f"{name}_dequantise",
        ),
    ]
