"""The trainer's state on disk, for a resume that gives what an uninterrupted training gives."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from training.errors import InputError
from training.files import check_readable, replace_text, save_tensors
from training.run import METRICS

STATE = "resume.safetensors"


def save_state(folder: Path, tensors: dict[str, Tensor], counters: dict[str, Any]) -> None:
    """Write tensors and counters as one file: a kill between two would mix two states."""
    save_tensors(folder / STATE, tensors, {"counters": json.dumps(counters)})


def load_state(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Read what `save_state` wrote; None where there is nothing yet."""
    path = folder / STATE
    try:
        check_readable(path)
    except FileNotFoundError:
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
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
        replace_text(path, "".join(line for line in lines if _step(line) <= step))


def _step(line: str) -> float:
    """The step of a line of metrics; infinite where the line is half written."""
    try:
        return float(json.loads(line)["step"]) if line.endswith("\n") else math.inf
    except (ValueError, KeyError, TypeError):
        return math.inf
