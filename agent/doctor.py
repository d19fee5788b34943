"""What this machine has for normline, and whether a bundle gives the right answers on it."""

from __future__ import annotations

import importlib
import platform
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from agent import __version__
from agent.bundle import Bundle
from agent.engine import (
    RUNTIMES,
    Deviation,
    EngineFault,
    deviation,
    load_engine,
    within_tolerance,
)
from agent.engine.cpu import cpu_flags, cpu_name, int8_support, physical_cores
from agent.errors import InputError
from agent.latency import Latency, measure_latency
from agent.view import View

INSTALL = {
    "openvino": "for Intel CPUs, GPUs and NPUs: pip install openvino",
    "onnxruntime": "for any CPU: pip install onnxruntime; "
    "for NVIDIA GPUs: pip install onnxruntime-gpu",
}


@dataclass(frozen=True)
class Runtime:
    """An installed runtime; `devices` as `load_engine` takes them."""

    version: str
    devices: list[str]


@dataclass(frozen=True)
class EngineCheck:
    """One model of the bundle on one device.

    status: `ok`; `failed`: it runs and strays from the golden values, or faults; `unavailable`: it
    does not load. `reason` says why in the last two cases. `latency` is that of a whole part, of so
    many `tiles`.
    """

    runtime: str
    device: str
    precision: str
    status: str
    reason: str | None = None
    deviation: Deviation | None = None
    latency: Latency | None = None
    tiles: int = 1


@dataclass(frozen=True)
class Report:
    """All that `normline doctor` found."""

    versions: dict[str, str]
    cpu: dict[str, str]
    runtimes: dict[str, Runtime]
    missing: dict[str, str]
    engines: list[EngineCheck] = field(default_factory=list)

    def healthy(self, *, with_bundle: bool) -> bool:
        """Whether a station can run here: with a bundle, one engine passes and none fails."""
        if not with_bundle:
            return bool(self.runtimes)
        statuses = {check.status for check in self.engines}
        return "ok" in statuses and "failed" not in statuses


def examine(bundle: Bundle | None) -> Report:
    """Look at the machine, and test every engine of the bundle that it can run."""
    runtimes: dict[str, Runtime] = {}
    missing: dict[str, str] = {}
    for name in RUNTIMES:
        try:
            module: Any = importlib.import_module(f"agent.engine.{name}")
            runtimes[name] = Runtime(module.version(), module.devices())
        except ImportError as error:
            # Not installed, or installed without a library that it needs: the error says which.
            missing[name] = f"{error}; {INSTALL[name]}"
    engines = []
    if bundle is not None:
        engines = [
            check_engine(bundle, name, device, precision)
            for name, runtime in runtimes.items()
            for device in runtime.devices
            for precision in bundle.precisions
        ]
    versions = {
        "normline": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "system": platform.platform(),
    }
    cpu = {
        "name": cpu_name(),
        "physical_cores": str(physical_cores()),
        "int8": int8_support(cpu_flags()),
    }
    return Report(versions, cpu, runtimes, missing, engines)


def check_engine(bundle: Bundle, runtime: str, device: str, precision: str) -> EngineCheck:
    """Load one engine, compare it with the golden values, and time it."""
    what = (runtime, device, precision)
    try:
        engine = load_engine(bundle, runtime=runtime, device=device, precision=precision)
    except InputError as error:
        return EngineCheck(*what, "unavailable", str(error))
    try:
        golden, view = bundle.golden(), View.of(bundle)
        found = deviation(engine, golden)
        if not within_tolerance(found, bundle.manifest.tolerances[precision]):
            reason = "strays from the golden values beyond the bundle's tolerance"
            return EngineCheck(*what, "failed", reason, found)
        latency = measure_latency(engine, view, golden.frames)
        return EngineCheck(*what, "ok", None, found, latency, len(view.places))
    except EngineFault as fault:
        return EngineCheck(*what, "failed", str(fault))
    finally:
        engine.close()
