"""What starts in a moment must not pay for what it does not use."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("openvino", "onnxruntime", "torch", "onnx")


def test_a_runtime_is_imported_only_when_an_engine_is_loaded() -> None:
    modules = "agent.cli, agent.engine, agent.service, agent.client, calibration.commands"
    code = f"import sys, {modules}; print([m for m in {HEAVY} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
