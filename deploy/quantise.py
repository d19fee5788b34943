"""INT8 by post-training quantisation: the scales that real frames need."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper

from deploy.graph import INPUT
from deploy.qdq import LEVELS, insert, place


def quantise(model: bytes, scales: dict[str, float]) -> bytes:
    """Quantise an fp32 graph with the scales of its placement's groups."""
    graph = onnx.load_from_string(model)
    insert(graph, place(graph), scales)
    onnx.checker.check_model(graph)
    return bytes(graph.SerializeToString())


def measure_scales(model: bytes, frames: NDArray[np.uint8]) -> dict[str, float]:
    """The scale of every group over its whole range: a defect stirs what no good part does.

    Args:
        model: fp32 graph.
        frames: real ones, good and not, uint8 [N, H, W, 3]. Because the graph starts at the
            frame, the reconstruction network sees real x_t at the two scales of the line.
    """
    graph = onnx.load_from_string(model)
    placement = place(graph)
    names = [name for name in placement.groups if placement.groups[name] not in placement.pictures]
    # The largest magnitude is all that is wanted: whole feature maps would be copied out.
    for name in names:
        graph.graph.node.extend(
            [
                helper.make_node("Abs", [name], [f"{name}_abs"]),
                helper.make_node("ReduceMax", [f"{name}_abs"], [f"{name}_max"], keepdims=0),
            ]
        )
        graph.graph.output.append(
            helper.make_tensor_value_info(f"{name}_max", TensorProto.FLOAT, [])
        )
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(
        graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    scales = dict.fromkeys(set(placement.groups.values()) - placement.pictures, 0.0)
    for frame in frames:
        found = session.run([f"{name}_max" for name in names], {INPUT: frame[None]})
        for name, largest in zip(names, found, strict=True):
            group = placement.groups[name]
            scales[group] = max(scales[group], float(largest) / LEVELS)
    return scales
