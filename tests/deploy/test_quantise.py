"""INT8 graphs: TensorRT's rules, the same answers on every runtime, and fine-tuning."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import openvino as ov
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper
from torch import nn

from agent.engine.base import ALL_LEVELS
from agent.engine.unsigned import (
    SIGNED_ZERO,
    UNSIGNED_SCALE,
    UNSIGNED_ZERO,
    all_unsigned,
    levels,
    unsigned_behind_relu,
)
from agent.errors import InputError
from deploy.finetune import _Grid, _QuantisedConv, finetune
from deploy.graph import export_graph, line_module
from deploy.parity import ask_module
from deploy.qdq import FLOAT_WEIGHTS, place, quantise_weight
from deploy.quantise import measure_scales, quantise
from deploy.tensorrt import broken_rules, check_rules
from tests.deploy.networks import random_frames, random_inspector
from tests.deploy.plates import SIDE
from training.budget import Budget

FRAMES = random_frames()


@dataclass(frozen=True)
class Exported:
    """A line module, its graphs, and its exact maps of FRAMES."""

    line: object
    fp32: bytes
    int8: bytes
    scales: dict[str, float]
    maps: NDArray[np.float32]


@pytest.fixture(scope="module", params=[1, 3], ids=["grey", "colour"])
def exported(request: pytest.FixtureRequest) -> Exported:
    line = line_module(random_inspector(colours=request.param))
    fp32 = export_graph(line, (SIDE, SIDE), "fp32")
    scales = measure_scales(fp32, FRAMES)
    return Exported(line, fp32, quantise(fp32, scales), scales, ask_module(line, FRAMES).maps)


def by_onnxruntime(model: bytes, frames: NDArray[np.uint8] = FRAMES) -> NDArray[np.float32]:
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(["anomaly_map"], {"frame": f[None]})[0] for f in frames])


def by_openvino(model: bytes, frames: NDArray[np.uint8] = FRAMES) -> NDArray[np.float32]:
    core = ov.Core()
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(core.read_model(model), "CPU", options)
    return np.concatenate([compiled(f[None])["anomaly_map"].copy() for f in frames])


def test_the_graph_keeps_tensorrts_rules(exported: Exported) -> None:
    check_rules(exported.int8, "int8")
    graph = onnx.load_from_string(exported.int8).graph
    kinds = [node.op_type for node in graph.node]
    # Every convolution but those of `FoldedContrast`: its data, shared or not, and its own weight.
    assert kinds.count("DequantizeLinear") > 2 * (kinds.count("Conv") - 7) - 2
    assert UNSIGNED_ZERO in {tensor.name for tensor in graph.initializer}


def test_int8_is_close_to_the_exact_model_on_both_runtimes(exported: Exported) -> None:
    spread = exported.maps.std()
    model = unsigned_behind_relu(exported.int8, all_levels=levels("CPU", "int8") == ALL_LEVELS)
    for run in (by_onnxruntime, by_openvino):
        assert np.abs(run(model) - exported.maps).mean() < 0.05 * spread


def test_onnxruntime_calculates_nearly_all_in_int8(exported: Exported, tmp_path: Path) -> None:
    """It takes codes only where they stand in front of a convolution and behind it."""
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    model = all_unsigned(exported.int8, all_levels=True)
    ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    found = Counter(node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node)
    convs = [node for node in onnx.load_from_string(model).graph.node if node.op_type == "Conv"]
    # Both heads, the last of the segmentation's stems, and those with weights of 1.
    exact = 3 + sum(node.input[1] in FLOAT_WEIGHTS for node in convs)
    assert found["Conv"] + found["FusedConv"] == exact
    assert found["QLinearConv"] == len(convs) - exact


def test_signed_codes_about_128_are_the_same_codes(exported: Exported) -> None:
    signed = unsigned_behind_relu(exported.int8, all_levels=True)
    model = all_unsigned(exported.int8, all_levels=True)
    assert sum(a != b for a, b in zip(model, signed, strict=True)) == 2  # the type and the zero
    onnx.checker.check_model(onnx.load_from_string(model))
    difference = np.abs(by_onnxruntime(model) - by_onnxruntime(signed)).mean((1, 2))
    rounding = np.abs(by_onnxruntime(signed) - exported.maps).mean()
    assert np.median(difference) < 1e-5 and difference.max() < rounding


def test_codes_that_could_overflow_stay_signed(exported: Exported) -> None:
    signed = unsigned_behind_relu(exported.int8, all_levels=False)
    assert all_unsigned(exported.int8, all_levels=False) == signed


def test_uint8_of_the_same_scale_changes_no_answer(exported: Exported) -> None:
    model = unsigned_behind_relu(exported.int8, all_levels=False)
    assert sum(a != b for a, b in zip(model, exported.int8, strict=True)) == 1
    onnx.checker.check_model(onnx.load_from_string(model))
    # Frames that the ranges were taken on: nothing is cut off in int8 either. A value half-way
    # between two codes may fall to either, as the two are added up in another order: few frames
    # have one, and those are moved less than the rounding moves them.
    difference = np.abs(by_onnxruntime(model) - by_onnxruntime(exported.int8)).mean((1, 2))
    rounding = np.abs(by_onnxruntime(exported.int8) - exported.maps).mean()
    assert np.median(difference) < 1e-5 and difference.max() < rounding


def test_all_levels_of_a_byte_round_less(exported: Exported) -> None:
    """Twice the levels over the same range; on processors that cannot overflow, they are used."""
    few, all_levels = (
        unsigned_behind_relu(exported.int8, all_levels=each) for each in (False, True)
    )
    graph = onnx.load_from_string(all_levels).graph
    finer = {
        tensor.name: float(numpy_helper.to_array(tensor))
        for tensor in graph.initializer
        if tensor.name.endswith(UNSIGNED_SCALE)
    }
    behind_relu = place(onnx.load_from_string(exported.fp32)).unsigned
    assert finer.keys() == {group + UNSIGNED_SCALE for group in behind_relu}
    for name, scale in finer.items():
        before = exported.scales[name.removesuffix(UNSIGNED_SCALE)]
        assert scale == pytest.approx(before * 127 / 255)
    for run in (by_onnxruntime, by_openvino):
        after, before = (np.abs(run(m) - exported.maps).mean() for m in (all_levels, few))
        assert after < 0.8 * before


def test_a_model_without_such_activations_comes_back_as_it_is(exported: Exported) -> None:
    assert unsigned_behind_relu(exported.fp32, all_levels=True) is exported.fp32


def test_a_picture_loses_no_grey_level(exported: Exported) -> None:
    """A frame is less 128 in int8: two frames that differ by one level differ in the codes."""
    model = onnx.load_from_string(exported.int8)
    name = place(onnx.load_from_string(exported.fp32)).readers["stem.weight"]
    model.graph.output.append(
        onnx.helper.make_tensor_value_info(f"{name}_codes", TensorProto.INT8, None)
    )
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found = [
        session.run([f"{name}_codes"], {"frame": np.full_like(FRAMES[:1], level)})[0]
        for level in range(256)
    ]
    assert [int(codes.ravel()[0]) for codes in found] == list(range(-128, 128))


def test_weights_have_a_scale_for_each_channel() -> None:
    weight = np.array([[[[1.0]]], [[[-100.0]]], [[[0.0]]]], np.float32)
    codes, steps = quantise_weight(weight)
    assert codes.ravel().tolist() == [127, -127, 0]
    np.testing.assert_allclose(steps[:2], [1 / 127, 100 / 127])
    assert (steps > 0).all()


def test_a_channel_of_next_to_no_weight_keeps_its_bias() -> None:
    """ONNX Runtime counts a bias in units of the channel's scale, and 2.0 were more than 2^31."""
    weight = np.array([[[[1.0]]], [[[1e-6]]]], np.float32)
    bias, activation = 2.0, 0.02
    codes, steps = quantise_weight(weight)
    assert bias / (activation * steps.min()) < 2**31 / 100
    assert codes.ravel().tolist() == [127, 0]


def test_weights_are_rounded_alike_in_fine_tuning() -> None:
    weight = np.array([[[[1.0]]], [[[-0.37]]], [[[1e-4]]]], np.float32)
    codes, steps = quantise_weight(weight)
    conv = nn.Conv2d(1, 3, 1, bias=False)
    with torch.no_grad():
        conv.weight.copy_(torch.from_numpy(weight))
        rounded = _QuantisedConv(conv, _Grid(1.0, unsigned=False, fixed=True), None)
        found = rounded(torch.ones(1, 1, 1, 1)).ravel().numpy()
    np.testing.assert_allclose(found, codes.ravel() * steps, rtol=1e-5)


def break_zero_point(graph: onnx.GraphProto) -> None:
    zero = next(t for t in graph.initializer if t.name == SIGNED_ZERO)
    zero.CopyFrom(numpy_helper.from_array(np.array(3, np.int8), SIGNED_ZERO))


def break_type(graph: onnx.GraphProto) -> None:
    zero = next(t for t in graph.initializer if t.name == UNSIGNED_ZERO)
    zero.CopyFrom(numpy_helper.from_array(np.array(0, np.uint8), UNSIGNED_ZERO))


def break_scale(graph: onnx.GraphProto) -> None:
    scale = next(t for t in graph.initializer if t.name.endswith("_scale"))
    scale.CopyFrom(numpy_helper.from_array(np.full(scale.dims, np.nan, np.float32), scale.name))


def break_weight(graph: onnx.GraphProto) -> None:
    conv = next(n for n in graph.node if n.op_type == "Conv")
    conv.input[1] = conv.input[1].replace(".weight", ".weight_codes")


def break_pair(graph: onnx.GraphProto) -> None:
    quantise = next(n for n in graph.node if n.op_type == "QuantizeLinear")
    graph.node.append(onnx.helper.make_node("Identity", [quantise.output[0]], ["x"], "stray"))


def break_operator(graph: onnx.GraphProto) -> None:
    relu = next(n for n in graph.node if n.op_type == "Relu")
    relu.op_type = "Celu"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (break_zero_point, "zero point must be int8 0"),
        (break_type, "zero point must be int8 0, not uint8"),
        (break_scale, "not positive and finite"),
        (break_weight, "both its data and its weight"),
        (break_pair, "stray does not dequantise"),
        (break_operator, "no operator ai.onnx.Celu"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_broken_rule_is_named(exported: Exported, damage: object, message: str) -> None:
    model = onnx.load_from_string(exported.int8)
    assert not broken_rules(model)
    damage(model.graph)  # type: ignore[operator]
    with pytest.raises(InputError, match=f"TensorRT would refuse.*{message}"):
        check_rules(model.SerializeToString(), "int8")


@pytest.mark.parametrize("exported", [3], indirect=True, ids=["colour"])
def test_fine_tuning_brings_int8_closer(exported: Exported) -> None:
    said: list[str] = []
    tuned, scales = finetune(
        exported.line, exported.fp32, exported.scales, FRAMES, Budget(steps=40), said.append
    )

    def distance(model: bytes) -> float:
        return float(np.abs(by_onnxruntime(model) - exported.maps).mean())

    after = distance(quantise(export_graph(tuned, (SIDE, SIDE), "fp32"), scales))
    assert after < distance(exported.int8)
    assert said[-1].startswith("fine-tuned in 40 steps")
