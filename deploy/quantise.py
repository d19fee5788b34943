"""INT8 by post-training quantisation, as QDQ nodes in the ONNX file."""

from __future__ import annotations

import logging

import nncf
import numpy as np
import onnx
from numpy.typing import NDArray

from deploy.graph import INPUT


def quantise(model: bytes, frames: NDArray[np.uint8]) -> bytes:
    """Quantise an fp32 graph with real frames uint8 [N, H, W, 3].

    Weights per channel and activations per tensor, both symmetric with zero point 0, which is
    all that TensorRT takes. Because the graph starts at the frame, the reconstruction network
    sees real x_t at the two scales of the line.
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
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            overflow_fix=nncf.OverflowFix.DISABLE,
        ),
    )
    return bytes(quantised.SerializeToString())


def _cast_from_constants(model: onnx.ModelProto) -> None:
    """Turn initialisers that a Cast reads (the int8 noise) into Constant nodes.

    NNCF looks for the element type of every Cast's input, and finds none on an initialiser.
    """
    cast = {node.input[0] for node in model.graph.node if node.op_type == "Cast"}
    for tensor in [t for t in model.graph.initializer if t.name in cast]:
        node = onnx.helper.make_node("Constant", [], [tensor.name], value=tensor)
        model.graph.initializer.remove(tensor)
        model.graph.node.insert(0, node)
