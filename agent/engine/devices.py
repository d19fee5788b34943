"""Devices by name: which a runtime has, which the machine has, and what brings the two together."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from agent.engine import nvidia

RENDERERS, ACCELERATORS = Path("/sys/class/drm"), Path("/dev/accel")
INTEL = "0x8086"
_NVIDIA = "pip install onnxruntime-gpu in place of onnxruntime, with NVIDIA's driver"
# As they are named where an engine is loaded.
INSTALL = {
    "GPU": "install Intel's compute runtime (intel-opencl-icd) and give the user /dev/dri",
    "NPU": "install Intel's NPU driver (intel-level-zero-npu) and give the user /dev/accel",
    "CUDA": _NVIDIA,
    "TensorRT": _NVIDIA,
}


def is_among(device: str, there: Collection[str]) -> bool:
    """Whether a device is one of these: one and the same answers to both GPU and GPU.0."""
    names = {*there, *(name.partition(".")[0] for name in there)}
    return device in names or (device == "GPU.0" and "GPU" in there)


def unused(found: Collection[str]) -> dict[str, str]:
    """Accelerators of this machine that are not among those that runtimes have found; what to do.

    The names are those of `INSTALL`.
    """
    vendors = {nvidia.text_of(path) for path in RENDERERS.glob("renderD*/device/vendor")}
    there = {
        "CUDA": nvidia.GPUS.exists() or "NVIDIA" in nvidia.text_of(nvidia.JETSON),
        "GPU": INTEL in vendors,
        "NPU": any(ACCELERATORS.glob("accel*")),
    }
    return {
        name: f"the machine has one, and no runtime uses it: {INSTALL[name]}"
        for name, is_there in there.items()
        if is_there and not is_among(name, found)
    }
