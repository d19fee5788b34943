"""What starts in a moment must not pay for what it does not use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("openvino", "onnxruntime", "torch", "onnx")


def test_a_runtime_is_imported_only_when_an_engine_is_loaded() -> None:
    modules = "agent.cli, agent.engine, agent.service, agent.client, calibration.commands"
    code = f"import sys, {modules}; print([m for m in {HEAVY} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_a_runtime_tells_its_maker_nothing(tmp_path: Path, runtime: str) -> None:
    """Each left what it reports from in the home: a database, the number of this machine."""
    kept = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    homes = {name: str(tmp_path) for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")}
    command = [sys.executable, "-B", "-c", f"import agent.engine.{runtime}"]
    subprocess.run(command, env={**kept, **homes}, check=True)
    assert list(tmp_path.rglob("*")) == []
