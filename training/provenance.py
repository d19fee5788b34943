"""Where a run came from: the code and the machine."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch


def code_version() -> str:
    """The version, with the commit where the code lies in its git checkout: 0.2.0+g1a2b3c4d5e6f.

    `.dirty` follows where files differ from the commit.
    """
    number, here = version("normline"), Path(__file__).parent
    # A copy installed somewhere below another project's checkout is not that project's commit.
    if _git(here, "ls-files", "--error-unmatch", Path(__file__).name) is None:
        return number
    commit = _git(here, "rev-parse", "--short=12", "HEAD")
    changed = _git(here, "status", "--porcelain", "--untracked-files=no")
    return f"{number}+g{commit}{'.dirty' if changed else ''}" if commit else number


def machine(device: torch.device) -> dict[str, Any]:
    """What decides speed, and the last bits of a result."""
    found: dict[str, Any] = {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    if device.type == "cuda":
        found["gpu"] = torch.cuda.get_device_name(device)
        found["cuda"] = torch.version.cuda
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
