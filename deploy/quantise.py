"""INT8 by post-training quantisation, as QDQ nodes in the ONNX file."""

from __future__ import annotations

import logging

import nncf
import numpy as np
import onnx
from nncf.quantization.range_estimator import RangeEstimatorParametersSet
from numpy.typing import NDArray

from deploy.graph import INPUT

# Arithmetic on pictures, not on features: noising, guidance and scoring keep their precision.
# Left to itself, NNCF gives the frame seven bits, and OpenVINO then reads every frame as one.
PICTURE_OPERATORS = ["Div", "Mul", "Add", "Sub", "Clip", "Round", "ReduceMean", "TopK"]


def quantise(model: bytes, frames: NDArray[np.uint8]) -> bytes:
    """Quantise an fp32 graph with real frames uint8 [N, H, W, 3].

    Weights are int8 per channel, activations per tensor, both symmetric with zero point 0;
    activations behind a ReLU are uint8, which TensorRT does not take: brought to int8 over the
    same range, ONNX Runtime agreed but OpenVINO 2026.4 gave other scores. Because the graph
    starts at the frame, the reconstruction network sees real x_t at the two scales of the line.
    """
    logging.getLogger("nncf").setLevel(logging.ERROR)
    graph = onnx.load_from_string(model)
    _cast_from_constants(graph)
    dataset = nncf.Dataset(list(frames), lambda frame: {INPUT: frame[None]})
    quantised = nncf.quantize(
        graph,
        dataset,
        preset=nncf.QuantizationPreset.PERFORMANCE,
        subset_size=len(frames),
        ignored_scope=nncf.IgnoredScope(
            types=PICTURE_OPERATORS, names=_picture_readers(graph), validate=False
        ),
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            overflow_fix=nncf.OverflowFix.DISABLE,
            # Measured on the flange: scores off by up to 1.2 with it, by 0.13 without. NNCF takes
            # the means of both noise scales, which share one batch, for those of one.
            disable_bias_correction=True,
            # The mean of the frames' ranges, NNCF's default, is that of good parts, and cuts off
            # what only a defect stirs: a score of 2.4 became 0.8.
            activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX,
        ),
    )
    onnx.checker.check_model(quantised)
    return bytes(quantised.SerializeToString())


def _picture_readers(model: onnx.ModelProto) -> list[str]:
    """The first convolution of either network: it reads pictures, folded or not.

    Signed int8 over 0..1 would leave a picture seven bits, and a faint scratch is one grey level.
    """
    producers = {name: node for node in model.graph.node for name in node.output}
    weights = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    readers = []
    for node in model.graph.node:
        if node.op_type == "Conv":
            source = producers.get(node.input[0])
            folded = source is not None and source.op_type == "Reshape"
            if folded or weights[node.input[1]][1] in (3, 6):
                readers.append(node.name)
    return readers


def _cast_from_constants(model: onnx.ModelProto) -> None:
    """Turn initialisers that a Cast reads (the int8 noise) into Constant nodes.

    NNCF looks for the element type of every Cast's input, and finds none on an initialiser.
    """
    cast = {node.input[0] for node in model.graph.node if node.op_type == "Cast"}
    for tensor in [t for t in model.graph.initializer if t.name in cast]:
        node = onnx.helper.make_node("Constant", [], [tensor.name], value=tensor)
        model.graph.initializer.remove(tensor)
        model.graph.node.insert(0, node)
