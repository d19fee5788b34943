"""The trained module as ONNX files that OpenVINO, ONNX Runtime and TensorRT all take."""

from __future__ import annotations

from copy import deepcopy

import onnx
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from training.model import FixedNoise

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


def export_graph(inspector: FixedNoise, input_size: tuple[int, int], precision: str) -> bytes:
    """The graph of the bundle contract as a serialised ONNX model, `fp32` or `fp16`."""
    module = deepcopy(inspector).eval().float()
    _fold_batch_norm(module)
    if precision == "fp16":
        module.model.unet = _HalfNetwork(module.model.unet)
        module.model.segmentation = _HalfNetwork(module.model.segmentation)
    frame = torch.zeros((1, *input_size, 3), dtype=torch.uint8)
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


def _fold_batch_norm(module: nn.Module) -> None:
    """Multiply every BatchNorm that follows a convolution in a Sequential into it."""
    for child in module.children():
        _fold_batch_norm(child)
    if not isinstance(module, nn.Sequential):
        return
    for first, second in zip(list(module), list(module)[1:], strict=False):
        if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
            at = [name for name, child in module.named_children() if child in (first, second)]
            module[int(at[0])] = fuse_conv_bn_eval(first, second)
            module[int(at[1])] = nn.Identity()


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
