"""Quantisation-aware fine-tuning: the rounded model learns to answer as the exact one does.

The exact model is the teacher and its answers are the only labels, so a few frames, moved, flipped
and lit anew, are enough, and no verdict is learnt that the trained model does not give. Rounding
has no slope; the straight-through estimator takes that of the line it rounds (Bengio et al.,
arXiv 1308.3432), and the steps learn with the weights (Esser et al., "Learned Step Size
Quantization", arXiv 1902.08153).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from copy import deepcopy

import numpy as np
import onnx
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from deploy.folded import GREY, FoldedInspector
from deploy.qdq import LEVELS, SMALLEST_CHANNEL, SMALLEST_SCALE, Placement, place
from training.budget import Budget

# Codes of an unsigned byte, which CPUs use behind a ReLU.
UNSIGNED_LEVELS = 255.0
FRAMES_A_STEP = 4
# Small: what rounding takes is a few hundredths of a logit, and larger steps stir up more.
WEIGHT_RATE, SCALE_RATE = 5e-6, 1e-3
WARM_UP = 0.05
# The score is one number among a map's many thousand, and the one that verdicts rest on.
SCORE_WEIGHT = 1.0
SHIFT, GAIN, OFFSET = 16, 0.1, 10.0
SAY_EVERY_S = 30.0


class _QuantisedConv(nn.Module):
    """A convolution as INT8 will calculate it.

    Args:
        read: how its input is coded; others may read the same.
        written: how its output is coded, where it is.
    """

    def __init__(self, conv: nn.Conv2d, read: _Grid, written: _Grid | None) -> None:
        super().__init__()
        self.conv, self.read, self.written = conv, read, written

    def forward(self, x: Tensor) -> Tensor:
        weight = self.conv.weight
        largest = weight.detach().abs().amax(dim=(1, 2, 3), keepdim=True)
        largest = largest.clamp(min=float(largest.max()) * SMALLEST_CHANNEL)
        steps = (largest / LEVELS).clamp(min=SMALLEST_SCALE)
        weight = _fake_quantise(weight, steps, -LEVELS, LEVELS)
        bias, stride, padding = self.conv.bias, self.conv.stride, self.conv.padding
        y = F.conv2d(self.read(x), weight, bias, stride, padding)
        return self.written(y) if self.written else y


class _Grid(nn.Module):
    """The codes of one group of tensors, on the engine that will run.

    Args:
        scale: of the bundle; behind a ReLU, a CPU has codes twice as fine.
    """

    def __init__(self, scale: float, *, unsigned: bool, fixed: bool) -> None:
        super().__init__()
        # A picture less its centre reaches from -128 levels to 127.
        self.lowest, self.highest = (0.0, UNSIGNED_LEVELS) if unsigned else (-LEVELS - 1, LEVELS)
        step = torch.tensor(scale * LEVELS / self.highest)
        self.log_step = nn.Parameter(step.log(), requires_grad=not fixed)

    def forward(self, x: Tensor) -> Tensor:
        return _fake_quantise(x, self.log_step.exp(), self.lowest, self.highest)

    def scale(self) -> float:
        """The scale for the bundle."""
        return float(self.log_step.detach().exp()) * self.highest / LEVELS


def finetune(
    line: nn.Module,
    model: bytes,
    scales: dict[str, float],
    frames: NDArray[np.uint8],
    budget: Budget,
    say: Callable[[str], None],
) -> tuple[nn.Module, dict[str, float]]:
    """Fine-tune a copy of `line` for INT8.

    Args:
        line: from `line_module`, of an edge preset.
        model: its fp32 graph.
        scales: to start from, of the placement's groups.
        frames: good ones and not, uint8 [N, H, W, 3].

    Returns:
        The tuned module, in float, and the scales of the placement's groups.
    """
    assert isinstance(line, FoldedInspector)
    placement = place(onnx.load_from_string(model))
    student = deepcopy(line)
    grids = _quantise_module(student, placement, scales)
    steps = [grid.log_step for grid in grids.values() if grid.log_step.requires_grad]
    weights = [p for name, p in student.named_parameters() if not name.endswith("log_step")]
    optimizer = torch.optim.Adam(
        [{"params": weights, "peak": WEIGHT_RATE}, {"params": steps, "peak": SCALE_RATE}]
    )
    rng = np.random.default_rng(0)
    began = said = time.monotonic()
    count, recent = 0, 0.0
    while (used := budget.progress(count, time.monotonic() - began)) < 1.0:
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * min(1.0, used / WARM_UP) * (1.0 - used)
        loss = 0.0
        for _ in range(FRAMES_A_STEP):
            frame = torch.from_numpy(_varied(frames[rng.integers(len(frames))], rng)[None])
            with torch.no_grad():
                exact = line(frame)
            term = _distance(student(frame), exact) / FRAMES_A_STEP
            term.backward()
            loss += float(term.detach())
        nn.utils.clip_grad_norm_([*weights, *steps], 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        count, recent = count + 1, 0.9 * recent + 0.1 * loss if count else loss
        if time.monotonic() - said > SAY_EVERY_S:
            said = time.monotonic()
            say(f"fine-tuning: {used:.0%}, step {count}, distance from the exact {recent:.4f}")
    say(f"fine-tuned in {count} steps of {FRAMES_A_STEP} frames; distance {recent:.4f}")
    learnt = {group: grid.scale() for group, grid in grids.items()}
    return _unwrap(student).eval(), {**scales, **learnt}


def _quantise_module(
    module: nn.Module, placement: Placement, scales: dict[str, float]
) -> dict[str, _Grid]:
    """Put the rounding around every convolution of the placement; returns the grids by group."""
    written = {weight: placement.groups[name] for name, weight in placement.outputs.items()}
    grids = {}
    for group in {*placement.readers.values(), *written.values()}:
        picture = group in placement.pictures
        grids[group] = _Grid(
            GREY if picture else max(scales[group], SMALLEST_SCALE),
            unsigned=group in placement.unsigned,
            fixed=picture,
        )
    for name, conv in list(module.named_modules()):
        weight = f"{name}.weight"
        if weight in placement.readers:
            assert isinstance(conv, nn.Conv2d)
            read, output = grids[placement.readers[weight]], written.get(weight)
            rounded = _QuantisedConv(conv, read, grids[output] if output else None)
            module.set_submodule(name, rounded)
    return grids


def _unwrap(module: nn.Module) -> nn.Module:
    for name, child in list(module.named_modules()):
        if isinstance(child, _QuantisedConv):
            module.set_submodule(name, child.conv)
    return module


def _fake_quantise(x: Tensor, step: Tensor, lowest: float, highest: float) -> Tensor:
    codes = (x / step).clamp(lowest, highest)
    return (codes + (codes.round() - codes).detach()) * step


def _distance(found: tuple[Tensor, ...], exact: tuple[Tensor, ...]) -> Tensor:
    maps = F.smooth_l1_loss(found[0], exact[0])
    return maps + SCORE_WEIGHT * F.smooth_l1_loss(found[1], exact[1])


def _varied(frame: NDArray[np.uint8], rng: Generator) -> NDArray[np.uint8]:
    """The frame moved, mirrored and lit a little differently."""
    for axis in (0, 1):
        frame = np.roll(frame, rng.integers(-SHIFT, SHIFT + 1), axis)
        if rng.random() < 0.5:
            frame = np.flip(frame, axis)
    lit = frame * rng.uniform(1 - GAIN, 1 + GAIN) + rng.uniform(-OFFSET, OFFSET)
    return np.clip(np.rint(lit), 0, 255).astype(np.uint8)
