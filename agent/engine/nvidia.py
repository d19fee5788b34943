"""How ONNX Runtime is to use an NVIDIA GPU: provider options and the TensorRT engine cache."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from agent.engine.cache import EngineKey

DRIVER = Path("/proc/driver/nvidia/version")
GPUS = Path("/proc/driver/nvidia/gpus")
JETSON = Path("/proc/device-tree/model")
WORKSPACE = 1 << 30


def engine_key(model: bytes, runtime: str, precision: str) -> EngineKey:
    """The key of a model on this machine's driver and GPU.

    ONNX Runtime puts TensorRT's own version and the GPU's compute capability into the names of
    the files themselves.
    """
    names = [path.read_text() for path in sorted(GPUS.glob("*/information"))]
    device = "\n".join(
        line for text in names for line in text.splitlines() if line.startswith("Model:")
    )
    return EngineKey(
        model_sha256=hashlib.sha256(model).hexdigest(),
        runtime=runtime,
        driver=text_of(DRIVER),
        device=device or text_of(JETSON),
        precision=precision,
    )


def cuda_options() -> dict[str, Any]:
    """CUDA provider: the algorithm comes from a rule and not from a race, so restarts agree."""
    return {"cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "0"}


def tensorrt_options(folder: Path, precision: str) -> dict[str, Any]:
    """TensorRT provider: what TensorRT 10 must be told of the precision that the file holds.

    TensorRT 11 reads the precision from the file alone. The engine and the timings of its kernels
    are kept: without the timings a rebuilt engine may choose others, and other last digits. The
    whole graph is one engine, or the session fails (see `session_options`).
    """
    return {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(folder),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(folder),
        "trt_fp16_enable": "0" if precision == "fp32" else "1",
        "trt_int8_enable": "1" if precision == "int8" else "0",
        # Shapes are fixed and one frame runs at a time; a Jetson shares its memory with the rest.
        "trt_max_workspace_size": str(WORKSPACE),
        "trt_context_memory_sharing_enable": "1",
    }


def text_of(path: Path) -> str:
    """What a file of the system says; `unknown` where it is not there."""
    try:
        return path.read_text(errors="replace").strip("\0\n ")
    except OSError:
        return "unknown"
