"""The trainer's state on disk, for a resume that gives what an uninterrupted training gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from training.errors import InputError
from training.files import replace_text, save_tensors
from training.run import METRICS

STATE = "resume.safetensors"


def save_state(folder: Path, tensors: dict[str, Tensor], counters: dict[str, Any]) -> None:
    """Write tensors and counters as one file: a kill between two would mix two states."""
    save_tensors(folder / STATE, tensors, {"counters": json.dumps(counters)})


def load_state(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Read what `save_state` wrote; None where there is nothing yet."""
    path = folder / STATE
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            counters = json.loads(file.metadata()["counters"])
            names = list(file.keys())
            return {name: file.get_tensor(name) for name in names}, counters
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read ({error}): remove it to begin this run again"
        ) from None


def drop_metrics_after(folder: Path, step: int) -> None:
    """Forget what was recorded after the saved step: it will be recorded again."""
    path = folder / METRICS
    if path.is_file():
        lines = path.read_text(encoding="utf-8").splitlines()
        # The last line may be half written.
        whole = (line for line in lines if line.endswith("}"))
        kept = [line for line in whole if json.loads(line)["step"] <= step]
        replace_text(path, "".join(f"{line}\n" for line in kept))
