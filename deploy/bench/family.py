"""What every size of edge network costs, random weights: before anybody trains one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec

import numpy as np
import torch

from deploy.bench.measure import openvino_call
from deploy.bench.references import graph_gflop
from deploy.bench.rounds import Contestant
from deploy.graph import export_graph, line_module
from deploy.quantise import measure_scales, quantise
from training.model import DiffusionAD, FixedNoise
from training.presets import PRESETS, preset

MEMBERS = tuple(name for name in PRESETS if name != "paper")
SIDES = (128, 256, 384, 512)
FRAMES = 4


def members() -> Iterator[str]:
    """What each member is, a line each."""
    for name in MEMBERS:
        parameters = sum(p.numel() for p in _model(name).parameters())
        yield f"{name}: {parameters / 1e6:.2f} million parameters"


def family_contestants(say: Callable[[str], None]) -> list[Contestant]:
    """Every member at every resolution, in INT8 on the runtimes that are here."""
    contestants = []
    for name in MEMBERS:
        for side in SIDES:
            say(f"building {name} for {side} x {side}")
            graph = _int8(name, side)
            for runtime, call in _calls(graph, side):
                title = f"{name} {side}x{side}"
                contestants.append(Contestant(title, runtime, "int8", graph_gflop(graph), call))
    return contestants


def _calls(graph: bytes, side: int) -> Iterator[tuple[str, Callable[[], object]]]:
    if find_spec("openvino"):
        yield "openvino", openvino_call(graph)
    if find_spec("onnxruntime"):
        from agent.engine.onnxruntime import OnnxRuntimeEngine

        engine = OnnxRuntimeEngine(graph, (side, side), device="CPU", precision="int8")
        yield "onnxruntime", partial(engine.infer, _frames(side)[0])


def _int8(name: str, side: int) -> bytes:
    line = line_module(FixedNoise(_model(name), (side, side), seed=0).eval(), (side, side))
    exact = export_graph(line, (side, side), "fp32")
    return quantise(exact, measure_scales(exact, _frames(side)))


def _model(name: str) -> DiffusionAD:
    torch.manual_seed(0)
    recipe = preset(name)
    return DiffusionAD(recipe.family, recipe.unet, recipe.segmentation, recipe.prediction).eval()


def _frames(side: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (FRAMES, side, side, 3), np.uint8)
