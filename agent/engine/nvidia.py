"""How ONNX Runtime is to use an NVIDIA GPU: provider options and the TensorRT engine cache."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.errors import InputError

DRIVER = Path("/proc/driver/nvidia/version")
GPUS = Path("/proc/driver/nvidia/gpus")
JETSON = Path("/proc/device-tree/model")


@dataclass(frozen=True)
class EngineKey:
    """All that a built TensorRT engine depends on; an engine of another key is never loaded.

    ONNX Runtime puts TensorRT's own version and the GPU's compute capability into the names of
    the files themselves.
    """

    model_sha256: str
    runtime: str
    driver: str
    device: str
    precision: str

    def folder(self, root: Path) -> Path:
        """Where engines of this key are kept; readable up front, unambiguous by its digest."""
        text = "\0".join(
            (self.model_sha256, self.runtime, self.driver, self.device, self.precision)
        )
        digest = hashlib.sha256(text.encode()).hexdigest()
        return root / f"{self.model_sha256[:12]}-{self.precision}-{digest[:16]}"


def engine_key(model: bytes, runtime: str, precision: str) -> EngineKey:
    """The key of a model on this machine's driver and GPU."""
    names = [path.read_text() for path in sorted(GPUS.glob("*/information"))]
    device = "\n".join(
        line for text in names for line in text.splitlines() if line.startswith("Model:")
    )
    return EngineKey(
        model_sha256=hashlib.sha256(model).hexdigest(),
        runtime=runtime,
        driver=_read(DRIVER),
        device=device or _read(JETSON),
        precision=precision,
    )


def cache_root(environment: Mapping[str, str] = os.environ) -> Path:
    """The folder for built engines: systemd's cache directory, or the user's."""
    if "CACHE_DIRECTORY" in environment:
        return Path(environment["CACHE_DIRECTORY"]) / "tensorrt"
    user = environment.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(user) / "normline" / "tensorrt"


def prepare_cache(folder: Path) -> None:
    """Make the cache folder.

    Raises:
        InputError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot keep TensorRT engines in {folder}: {error.strerror}; "
            "set XDG_CACHE_HOME to a folder that can be written"
        ) from error


def cuda_options() -> dict[str, Any]:
    """CUDA provider: the algorithm comes from a rule and not from a race, so restarts agree."""
    return {"cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "0"}


def tensorrt_options(folder: Path, precision: str) -> dict[str, Any]:
    """TensorRT provider: what TensorRT 10 must be told of the precision that the file holds.

    TensorRT 11 reads the precision from the file alone.
    """
    return {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(folder),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(folder),
        "trt_fp16_enable": "0" if precision == "fp32" else "1",
        "trt_int8_enable": "1" if precision == "int8" else "0",
    }


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip("\0\n ")
    except OSError:
        return "unknown"
