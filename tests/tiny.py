"""A small real bundle for tests: a fixed graph that follows the graph contract.

The map is how far each pixel lies from its blurred surroundings, so a spot on a plain part raises
the score. No training and no torch: it is built node by node, calibrated and checked as real
models are, and takes milliseconds to load.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from agent.bundle import Bundle, write_bundle
from agent.engine import PRECISIONS, Fingerprint
from agent.golden import Golden
from agent.record import CalibrationRecord, write_record

TOP = 50
OPSET = 17
# A blurred 0..1 image in INT8 steps, symmetric; and weights of a box blur.
ACTIVATION_SCALE = 1 / 127
WEIGHT_SCALE = 1 / (49 * 127)


@cache
def tiny_graph(input_size: tuple[int, int], precision: str, gain: float = 20.0) -> bytes:
    """An ONNX model: anomaly_map = gain * |grey - blur(grey)| - 4; reconstruction = blur."""
    height, width = input_size
    real = np.float16 if precision == "fp16" else np.float32
    real_type = helper.np_dtype_to_tensor_dtype(np.dtype(real))
    constants: dict[str, NDArray] = {
        "to_unit": np.array(1 / 255, real),
        "to_bytes": np.array(255, real),
        "grey_weights": np.full((1, 3, 1, 1), 1 / 3, real),
        "gain": np.array(gain, real),
        "offset": np.array(-4, real),
        "pads": np.array([0, 0, 3, 3, 0, 0, 3, 3], np.int64),
        "flat": np.array([1, height * width], np.int64),
        "map_shape": np.array([1, height, width], np.int64),
        "top": np.array([TOP], np.int64),
        "three": np.array([1, 3, 1, 1], np.int64),
    }
    node = helper.make_node
    nodes = [
        node("Cast", ["frame"], ["frame_real"], to=real_type),
        node("Mul", ["frame_real", "to_unit"], ["unit_hwc"]),
        node("Transpose", ["unit_hwc"], ["unit"], perm=[0, 3, 1, 2]),
        node("Conv", ["unit", "grey_weights"], ["grey"]),
        node("Pad", ["grey", "pads"], ["padded"], mode="edge"),
    ]
    if precision == "int8":
        constants |= {
            "activation_scale": np.array(ACTIVATION_SCALE, np.float32),
            "weight_scale": np.array(WEIGHT_SCALE, np.float32),
            "zero": np.array(0, np.int8),
            "box_int8": np.full((1, 1, 7, 7), 127, np.int8),
        }
        quantise = ["activation_scale", "zero"]
        nodes += [
            node("QuantizeLinear", ["padded", *quantise], ["padded_int8"]),
            node("DequantizeLinear", ["padded_int8", *quantise], ["blur_in"]),
            node("DequantizeLinear", ["box_int8", "weight_scale", "zero"], ["box"]),
            node("Conv", ["blur_in", "box"], ["blur"]),
        ]
    else:
        constants["box"] = np.full((1, 1, 7, 7), 1 / 49, real)
        nodes.append(node("Conv", ["padded", "box"], ["blur"]))
    nodes += [
        node("Sub", ["grey", "blur"], ["difference"]),
        node("Abs", ["difference"], ["distance"]),
        node("Mul", ["distance", "gain"], ["amplified"]),
        node("Add", ["amplified", "offset"], ["map_real"]),
        node("Cast", ["map_real"], ["map_nchw"], to=TensorProto.FLOAT),
        node("Reshape", ["map_nchw", "map_shape"], ["anomaly_map"]),
        node("Reshape", ["map_nchw", "flat"], ["logits"]),
        node("TopK", ["logits", "top"], ["largest", "where"], axis=1),
        node("ReduceMean", ["largest"], ["score"], axes=[1], keepdims=0),
        node("Tile", ["blur", "three"], ["blur_bgr"]),
        node("Mul", ["blur_bgr", "to_bytes"], ["blur_bytes"]),
        node("Transpose", ["blur_bytes"], ["blur_hwc"], perm=[0, 2, 3, 1]),
        node("Cast", ["blur_hwc"], ["reconstruction"], to=TensorProto.UINT8),
    ]
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "tiny",
        [info("frame", TensorProto.UINT8, [1, height, width, 3])],
        [
            info("anomaly_map", TensorProto.FLOAT, [1, height, width]),
            info("score", TensorProto.FLOAT, [1]),
            info("reconstruction", TensorProto.UINT8, [1, height, width, 3]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = 8
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def tiny_frames(count: int, input_size: tuple[int, int], seed: int = 0) -> NDArray[np.uint8]:
    """Plain grey parts with sensor noise, the odd ones with a dark spot: uint8 [N, H, W, 3]."""
    height, width = input_size
    random = np.random.default_rng(seed)
    frames = random.normal(150, 4, (count, height, width, 3)).clip(0, 255).astype(np.uint8)
    side = min(height, width) // 6
    for frame in frames[1::2]:
        y, x = random.integers(0, (height - side, width - side))
        frame[y : y + side, x : x + side] = 60
    return frames


@cache
def tiny_golden(input_size: tuple[int, int]) -> bytes:
    """What the fp32 model says of four frames, by plain ONNX Runtime."""
    frames = tiny_frames(4, input_size)
    model = tiny_graph(input_size, "fp32")
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    outputs = [session.run(["score", "anomaly_map"], {"frame": frame[None]}) for frame in frames]
    scores, maps = (np.concatenate(arrays) for arrays in zip(*outputs, strict=True))
    return Golden(frames, scores, maps).to_bytes()


def write_tiny_bundle(
    path: Path,
    input_size: tuple[int, int] = (64, 64),
    product: str = "tiny",
    view: dict[str, Any] | None = None,
    members: dict[str, bytes] | None = None,
) -> Path:
    """Write a bundle of the three precisions and four golden frames; returns `path`.

    view: the manifest's fields on what the model sees of an image; members: further ones.
    """
    models = {precision: tiny_graph(input_size, precision) for precision in PRECISIONS}
    fields = {
        "product": product,
        "preset": "tiny",
        "input_size": input_size,
        "training_data_digest": "0" * 64,
        "code_version": "test",
        "created_at": "2026-01-01T00:00:00Z",
        "tolerances": {
            "fp32": {"score": 1e-3, "map": 1e-3},
            "fp16": {"score": 0.1, "map": 0.05},
            "int8": {"score": 0.2, "map": 0.1},
        },
        **(view or {}),
    }
    members = {
        **(members or {}),
        **{f"model.{precision}.onnx": model for precision, model in models.items()},
    }
    members["golden.npz"] = tiny_golden(input_size)
    write_bundle(path, fields, members)
    return path


def write_tiny_record(
    path: Path, bundle: Bundle, engine_fingerprint: Fingerprint, threshold: float
) -> Path:
    """Write a calibration record of 99 made-up scores up to `threshold`; returns `path`."""
    record = CalibrationRecord(
        schema_version=1,
        bundle_sha256=bundle.sha256,
        engine=engine_fingerprint,
        threshold=threshold,
        requested_false_reject_rate=0.01,
        supported_false_reject_rate=0.01,
        confidence=None,
        n=99,
        scores=np.linspace(threshold - 1, threshold, 99).tolist(),
        camera_settings_digest=None,
        created_at="2026-01-01T00:00:00Z",
    )
    write_record(path, record)
    return path
