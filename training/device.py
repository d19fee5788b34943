"""Where to train, and in which precision."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch

from training.errors import InputError


def choose_device(name: str) -> torch.device:
    """`auto` takes a GPU where there is one; any other name must be there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        first = str(error).strip().splitlines()[0]
        raise InputError(f"device {name!r} is not here ({first}): try --device cpu") from None
    return device


def autocast(device: torch.device) -> AbstractContextManager[None]:
    """bfloat16 where the device multiplies it faster than float32, else nothing."""
    context: AbstractContextManager[None] = torch.autocast(
        device.type, torch.bfloat16, enabled=has_fast_bfloat16(device)
    )
    return context


def has_fast_bfloat16(device: torch.device) -> bool:
    """True on GPUs from Ampere on and on CPUs with AVX512-BF16 or AMX."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())
