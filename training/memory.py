"""How much memory a training step needs, calculated without doing it.

The step runs on fake tensors, which have shapes but no contents; what it would allocate is counted
as it comes and goes, so that the peak includes activations, gradients and everything in between.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from training.diffusion import Schedule, noise_loss
from training.errors import InputError
from training.losses import segmentation_loss
from training.model import T_NOISIER, T_NORMAL, DiffusionAD
from training.presets import Preset

# float32 copies of every weight beside the weight itself: gradient, two moments of Adam, average.
COPIES = 4
# CUDA's context, the libraries' workspaces, and what the caching allocator cannot use.
CONTEXT_BYTES, FRAGMENTATION = 1 << 30, 0.05


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes on the training device.

    weights: with gradients, optimiser and average. step: the peak of what one step adds to them.
    total: both, and a margin for what no calculation sees.
    """

    weights: int
    step: int

    @property
    def total(self) -> int:
        """With the margin."""
        return round((self.weights + self.step) * (1 + FRAGMENTATION)) + CONTEXT_BYTES


def training_memory(
    recipe: Preset,
    batch_size: int,
    input_size: tuple[int, int],
    *,
    bfloat16: bool,
    checkpointing: bool,
) -> TrainingMemory:
    """Calculate the memory of training `recipe` with batches of `batch_size` images.

    Args:
        input_size: (H, W).
        bfloat16: whether activations are kept in bfloat16 (mixed precision).
        checkpointing: whether the paper's network forgets activations and computes them again.
    """
    Schedule.linear()  # its table holds real numbers, made before tensors become fake
    with FakeTensorMode(allow_non_fake_inputs=True):
        model = DiffusionAD.of(recipe)
        model.checkpoint_activations(checkpointing)
        parameters = sum(p.numel() * p.element_size() for p in model.parameters())
        image = torch.rand(batch_size, 3, *input_size)
        mask = torch.rand(batch_size, 1, *input_size)
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        with _PeakBytes() as meter:
            _step(model, recipe, image, mask, bfloat16)
    return TrainingMemory(parameters * (1 + COPIES), meter.peak)


def must_checkpoint(
    recipe: Preset, batch_size: int, input_size: tuple[int, int], *, bfloat16: bool, free: int
) -> bool:
    """Whether a training fits into `free` bytes only with activations computed twice.

    Raises InputError where it does not fit even so.
    """
    for checkpointing in (False, True):
        need = training_memory(
            recipe, batch_size, input_size, bfloat16=bfloat16, checkpointing=checkpointing
        )
        if need.total <= free:
            return checkpointing
    raise InputError(
        f"a batch of {batch_size} images needs {need.total / 2**30:.0f} GiB and the device has "
        f"{free / 2**30:.0f} GiB free: give a smaller --batch-size"
    )


def _step(model: DiffusionAD, recipe: Preset, image: Tensor, mask: Tensor, bfloat16: bool) -> None:
    """One step as the trainer takes it, without the parts that need no memory to speak of."""
    noises = [torch.randn_like(image) for _ in range(2)]
    half = torch.autocast("cpu", torch.bfloat16) if bfloat16 else nullcontext()
    with half:
        predicted = model.reconstruct(image, T_NORMAL, T_NOISIER, noises[0], noises[1])
        logits = model.segment(image, predicted.guided)
    loss = segmentation_loss(logits, mask)
    if predicted.eps is None:
        clean = model.painted(image)
        loss = loss + (predicted.normal - clean).square().mean()
        loss = loss + (predicted.noisier - clean).square().mean()
    else:
        normal = torch.zeros(len(image), dtype=torch.bool)
        loss = loss + noise_loss(predicted.eps[0], noises[0], predicted.eps[1], noises[1], normal)
    loss.backward()


class _PeakBytes(TorchDispatchMode):
    """Counts the bytes of the tensors that operators make, until they are gone."""

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        # A view, or what is written in place, has a storage that is known or came from outside.
        inputs = {id(t.untyped_storage()) for t in _tensors((args, kwargs))}
        for tensor in _tensors(result):
            storage = tensor.untyped_storage()
            if id(storage) not in self._known and id(storage) not in inputs:
                self._known.add(id(storage))
                size = storage.nbytes()
                self.live += size
                weakref.finalize(storage, self._gone, id(storage), size)
        self.peak = max(self.peak, self.live)
        return result

    def _gone(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.live -= size


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in pytree.tree_leaves(tree) if isinstance(leaf, Tensor)]
