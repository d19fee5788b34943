"""The trained module as ONNX files that OpenVINO, ONNX Runtime and TensorRT all take."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy

import onnx
import torch
from torch import Tensor, nn

from deploy.batch_norm import fold_batch_norm
from deploy.folded import FoldedInspector
from training.model import FixedNoise
from training.networks.edge import EdgeUNet

OPSET = 18
INPUT, OUTPUTS = "frame", ("anomaly_map", "score", "reconstruction")


class _HalfNetwork(nn.Module):
    """A network in float16 between float32 neighbours.

    Noising, guidance and scoring stay in float32: they cost nothing, and 1 / 255 of the precision
    of a picture is all that float16 leaves of it.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.half()

    def forward(self, image: Tensor, *scale: Tensor) -> Tensor:
        out: Tensor = self.network(image.half(), *scale).float()
        return out


def halve(module: nn.Module) -> None:
    """Bring the networks of a `line_module` to float16, in place."""
    if isinstance(module, FoldedInspector):
        module.halve()
    else:
        assert isinstance(module, FixedNoise)
        module.model.unet = _HalfNetwork(module.model.unet)
        module.model.segmentation = _HalfNetwork(module.model.segmentation)


def line_module(inspector: FixedNoise) -> nn.Module:
    """What the graph is made from, in float32: rearranged where the networks are ours."""
    if isinstance(inspector.model.unet, EdgeUNet):
        return FoldedInspector(inspector).eval()
    module = deepcopy(inspector).eval().float()
    fold_batch_norm(module)
    return module


def export_graph(line: nn.Module, input_size: tuple[int, int], precision: str) -> bytes:
    """The graph of the bundle contract as a serialised ONNX model, `fp32` or `fp16`.

    Args:
        line: from `line_module`; it is left as it is.
    """
    module = deepcopy(line)
    if precision == "fp16":
        halve(module)
    frame = torch.zeros((1, *input_size, 3), dtype=torch.uint8)
    with _quiet_exporter():
        program = torch.onnx.export(
            module,
            (frame,),
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    _strip(model)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Without what the exporter says of libraries that are not needed and of its own insides."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _strip(model: onnx.ModelProto) -> None:
    """Drop what tells of the machine that exported: stack traces, paths, module names."""
    del model.metadata_props[:]
    model.producer_name, model.doc_string = "normline", ""
    for holder in (*model.graph.node, *model.graph.value_info, *model.graph.initializer):
        holder.doc_string = ""
        if hasattr(holder, "metadata_props"):
            del holder.metadata_props[:]
    for holder in (*model.graph.input, *model.graph.output):
        del holder.metadata_props[:]
    del model.graph.metadata_props[:]
    model.graph.doc_string = ""
