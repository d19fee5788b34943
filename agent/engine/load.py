"""Choosing a runtime by name."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from agent.bundle import Bundle
from agent.engine.base import Engine
from agent.errors import InputError
from agent.manifest import PRECISIONS

RUNTIMES = ("openvino", "onnxruntime")


def installed_runtimes() -> list[str]:
    """Those of RUNTIMES that are installed here."""
    return [name for name in RUNTIMES if find_spec(name) is not None]


def load_engine(
    bundle: Bundle,
    *,
    runtime: str,
    device: str = "CPU",
    precision: str = "int8",
    streams: int = 1,
) -> Engine:
    """Load one model of a bundle on exactly the runtime and device that were named.

    Args:
        bundle: from `agent.bundle.open_bundle`.
        runtime: one of RUNTIMES.
        device: OpenVINO: CPU, GPU or NPU (GPU.1 for a second one);
            ONNX Runtime: CPU, CUDA or TensorRT.
        precision: one of PRECISIONS that the bundle holds.
        streams: how many frames the processor works on at once, each with its share of the cores
            (see `SharedEngine`); 1 gives the shortest time for one frame.

    Raises:
        InputError: an unknown name, a runtime that is not installed, a device that is not there
            (there is no fallback to another), or a model that the runtime refuses.
    """
    if precision not in PRECISIONS:
        raise InputError(f"no precision {precision}: choose one of {', '.join(PRECISIONS)}")
    if runtime not in RUNTIMES:
        raise InputError(f"no runtime {runtime}: choose one of {', '.join(RUNTIMES)}")
    model = bundle.model(precision)
    try:
        module = import_module(f"agent.engine.{runtime}")
    except ImportError as error:
        # Installed without a library that it needs counts as well: the error says which.
        there = [name for name in installed_runtimes() if name != runtime]
        choose = f"name {there[0]} as the runtime (engine.runtime), or " if there else ""
        raise InputError(
            f"the runtime {runtime} is not installed here ({error}; "
            f"found: {', '.join(there) or 'no other'}): {choose}pip install {runtime}"
        ) from error
    engine: Engine = module.load(
        model, bundle.manifest.input_size, device=device, precision=precision, streams=streams
    )
    return engine
