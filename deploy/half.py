"""float16 holds nothing beyond 65504: what a network makes of any picture must stay below."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from agent.errors import InputError
from deploy.graph import halve
from deploy.parity import Parity, ask_module, check, compare

LARGEST = 65504.0
# A frame at the line may stir more than any that was tried here.
HEADROOM = 4.0
FEW = 3


def extremes(input_size: tuple[int, int]) -> NDArray[np.uint8]:
    """Pictures that no camera should send, uint8 [4, H, W, 3]: black, white, a board, noise."""
    height, width = input_size
    black = np.zeros((height, width, 3), np.uint8)
    rows, columns = np.indices((height, width)) // 8
    board = np.repeat(((rows + columns) % 2 * 255).astype(np.uint8)[..., None], 3, axis=-1)
    noise = np.random.default_rng(0).integers(0, 256, black.shape, np.uint8)
    return np.stack((black, black + 255, board, noise))


def check_half(
    line: nn.Module, frames: NDArray[np.uint8], anomalous: NDArray[np.bool_], span: float
) -> Parity:
    """Try real float16 arithmetic, which a CPU's runtime does not use.

    Args:
        line: from `line_module`.
        frames: real ones, uint8 [N, H, W, 3].
        span: of the scores of all frames that there are.

    Raises:
        InputError: a value comes too close to the end of float16, or the answers stray.
    """
    odd = extremes(frames.shape[1:3])
    largest = largest_value(line, np.concatenate((odd, frames[:FEW], frames[-FEW:])))
    if not largest * HEADROOM <= LARGEST:
        raise InputError(
            f"in fp16 the model would overflow: it reaches {largest:.4g} where "
            f"{LARGEST / HEADROOM:.4g} leaves room; train again, with another --seed or "
            "fewer --steps"
        )
    module = deepcopy(line)
    halve(module)
    # What is within a layer, or between two, is seen by its answer alone.
    said = ask_module(module, odd)
    if not (np.isfinite(said.scores).all() and np.isfinite(said.maps).all()):
        raise InputError(
            "in fp16 the model has no finite answer for a black, a white or a noisy picture: train "
            "again, with another --seed or fewer --steps"
        )
    # A CPU is slow at this: the first and the last frames do.
    few = np.r_[: min(FEW, len(frames)), max(FEW, len(frames) - FEW) : len(frames)]
    exact, halved = ask_module(line, frames[few]), ask_module(module, frames[few])
    found = compare(halved, exact, anomalous[few], span)
    check("the fp16 model in float16 arithmetic", "fp16", found)
    return found


@torch.inference_mode()
def largest_value(module: nn.Module, frames: NDArray[np.uint8]) -> float:
    """Largest magnitude that any layer gives for these frames; NaN counts as infinite."""
    largest = 0.0

    def look(_module: nn.Module, _inputs: object, output: object) -> None:
        nonlocal largest
        if isinstance(output, Tensor) and output.is_floating_point():
            largest = max(largest, float(output.abs().max().nan_to_num(torch.inf)))

    leaves = [child for child in module.modules() if not list(child.children())]
    handles = [leaf.register_forward_hook(look) for leaf in leaves]
    try:
        for frame in frames:
            module(torch.from_numpy(frame[None]))
    finally:
        for handle in handles:
            handle.remove()
    return largest
