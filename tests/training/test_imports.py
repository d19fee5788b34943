"""The command line answers at once: torch, which takes seconds to load, waits for work to do."""

from __future__ import annotations

import subprocess
import sys


def test_the_commands_of_training_load_without_torch() -> None:
    code = (
        "import sys, training.commands, training.benchmark.commands; print('torch' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"
