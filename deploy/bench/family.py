"""What every size of edge network costs, random weights: before anybody trains one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from itertools import product

import numpy as np
import torch

from deploy.bench.measure import openvino_call
from deploy.bench.references import graph_gflop
from deploy.bench.rounds import Contestant
from deploy.graph import export_graph, line_module
from deploy.quantise import measure_scales, quantise
from training.model import DiffusionAD, FixedNoise
from training.order import AS_PRESET
from training.presets import PRESETS, preset

MEMBERS = tuple(name for name in PRESETS if name != "paper")
SIDES = (128, 256, 512)
COLOURS = {"grey": True, "colour": False}
FRAMES = 4


def members() -> Iterator[str]:
    """What each member is, a line each."""
    for name in MEMBERS:
        for colour, grey in COLOURS.items():
            parameters = sum(p.numel() for p in _model(name, grey).parameters())
            yield f"{name} {colour}: {parameters / 1e6:.2f} million parameters"


def family_contestants(say: Callable[[str], None]) -> list[Contestant]:
    """Every member at every resolution, in INT8 on the runtimes that are here."""
    contestants = []
    for name, (colour, grey), side in product(MEMBERS, COLOURS.items(), SIDES):
        title = f"{name} {colour} {side}x{side}"
        say(f"building {title}")
        graph = _int8(_model(name, grey), side)
        for runtime, call in _calls(graph, side):
            gflop = graph_gflop(graph)
            contestants.append(
                Contestant(title, runtime, "int8", gflop, call, input_size=(side, side))
            )
    return contestants


def _calls(graph: bytes, side: int) -> Iterator[tuple[str, Callable[[], object]]]:
    if find_spec("openvino"):
        yield "openvino", openvino_call(graph)
    if find_spec("onnxruntime"):
        from agent.engine.onnxruntime import load

        engine = load(graph, (side, side), device="CPU", precision="int8", streams=1)
        yield "onnxruntime", partial(engine.infer, _frames(side)[0])


def _int8(model: DiffusionAD, side: int) -> bytes:
    line = line_module(FixedNoise(model, (side, side), seed=0).eval())
    exact = export_graph(line, (side, side), "fp32")
    return quantise(exact, measure_scales(exact, _frames(side)))


def _model(name: str, grey: bool) -> DiffusionAD:
    torch.manual_seed(0)
    recipe = preset(name)
    return AS_PRESET.build(recipe.for_grey() if grey else recipe).eval()


def _frames(side: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (FRAMES, side, side, 3), np.uint8)
