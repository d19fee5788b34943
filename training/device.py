"""Where to train, and in which precision."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager

import torch

from training.distributed import ALONE, Group
from training.errors import InputError

MAX_WORKERS = 12


def is_gpu(name: str) -> bool:
    """Whether `choose_device` would take a GPU."""
    return name.startswith("cuda") or (name == "auto" and torch.cuda.is_available())


def choose_device(name: str, group: Group = ALONE) -> torch.device:
    """`auto` takes a GPU where there is one, each process of a group its own; any other name must
    be there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and group.size > 1:
        name = f"cuda:{group.local_rank}"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        first = str(error).strip().splitlines()[0]
        raise InputError(f"device {name!r} is not here ({first}): try --device cpu") from None
    if device.type == "cuda" and device.index is not None:
        # Torch answers for the current device what it can multiply.
        torch.cuda.set_device(device)
    return device


def autocast(device: torch.device) -> AbstractContextManager[None]:
    """bfloat16 where the device multiplies it faster than float32, else nothing."""
    context: AbstractContextManager[None] = torch.autocast(
        device.type, torch.bfloat16, enabled=has_fast_bfloat16(device)
    )
    return context


def spare_cores(device: torch.device, group: Group = ALONE) -> int:
    """How many processes may make batches: one beside a CPU that trains, more beside a GPU."""
    if device.type == "cpu":
        return 1
    here = int(os.environ.get("LOCAL_WORLD_SIZE", group.size))
    return max(1, min(MAX_WORKERS, len(os.sched_getaffinity(0)) // here - 1))


def has_fast_bfloat16(device: torch.device) -> bool:
    """True on GPUs from Ampere on and on CPUs with AVX512-BF16 or AMX."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())
