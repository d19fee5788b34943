"""Several processes that train one model, started by PyTorch's launcher.

    torchrun --nproc-per-node 2 --no-python normline train DATA --out RUN

The batch of the preset is shared out, so that any number of processes takes the steps that one
would take: every process gets as many images to paste anomalies on and as many good ones as the
others (the terms of the loss are means over one or the other kind, and a mean of means over equal
shares is the mean), BatchNorm's statistics are those of the whole batch, and the noise of an image
depends on its place in the batch, not on the process that draws it. What is left is the order of
sums, and the rare image on which no visible anomaly could be pasted.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn.parallel import DistributedDataParallel

from training.errors import InputError


@dataclass(frozen=True)
class Group:
    """This process among those that train together; alone, unless the launcher says otherwise."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def leads(self) -> bool:
        """Whether this process writes the files and judges the checkpoints."""
        return self.rank == 0

    def agree(self, value: float) -> float:
        """The leader's value: clocks differ, and all must stop at the same step."""
        if self.size == 1:
            return value
        shared = torch.tensor(value, dtype=torch.float64)
        dist.broadcast(shared, src=0)
        return float(shared)

    def alike(self, value: float) -> bool:
        """Whether all have the same value; all get the same answer."""
        if self.size == 1:
            return True
        both = torch.tensor([value, -value], dtype=torch.float64)
        dist.all_reduce(both, op=dist.ReduceOp.MAX)
        return float(both[0]) == -float(both[1])

    def mean(self, value: Tensor) -> float:
        """The mean over the group of a single number."""
        shared = value.detach().double().cpu()
        if self.size > 1:
            dist.all_reduce(shared)
        return float(shared) / self.size


ALONE = Group()


@contextmanager
def training_group() -> Iterator[Group]:
    """The group that `torchrun` started this process in."""
    if not dist.is_torchelastic_launched():
        yield ALONE
        return
    rank, size, local = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield Group(rank, size, local)
    finally:
        dist.destroy_process_group()


def own_places(anomalous: NDArray[np.bool_], rank: int, size: int) -> list[int]:
    """The places in the batch, bool [B] true where anomalous, that fall to process `rank`.

    Raises InputError where either kind cannot be shared out evenly.
    """
    kinds = [np.flatnonzero(kind).tolist() for kind in (anomalous, ~anomalous)]
    if any(len(places) % size for places in kinds):
        # Of four images three have anomalies.
        fitting = math.ceil(len(anomalous) / (4 * size)) * 4 * size
        raise InputError(
            f"a batch of {len(anomalous)} images, {len(kinds[0])} of them with anomalies, cannot "
            f"be shared evenly by {size} processes: give --batch-size {fitting}"
        )
    return sorted(place for places in kinds for place in places[rank::size])


class _Step(nn.Module):
    """The loss as a forward pass, which is where DistributedDataParallel watches gradients."""

    def __init__(self, model: nn.Module, losses: Callable[..., dict[str, Tensor]]) -> None:
        super().__init__()
        self.model = model
        self.losses = losses

    def forward(self, *arguments: Any) -> dict[str, Tensor]:
        return self.losses(*arguments)


def share_gradients(
    model: nn.Module, losses: Callable[..., dict[str, Tensor]], group: Group
) -> Callable[..., dict[str, Tensor]]:
    """`losses`, which runs `model`, so that its gradients are averaged over the group."""
    if group.size == 1:
        return losses
    device = next(model.parameters()).device
    on = [device] if device.type == "cuda" else None
    return DistributedDataParallel(_Step(model, losses), device_ids=on, broadcast_buffers=False)


def share_statistics(model: nn.Module, group: Group) -> None:
    """Let the BatchNorm layers below `model` see the whole group's batch; done before training.

    PyTorch's own SyncBatchNorm runs on GPUs alone.
    """
    if group.size == 1:
        return
    if next(model.parameters()).device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(model)
        return
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, _GroupBatchNorm(child, group.size))


class _GroupBatchNorm(nn.BatchNorm2d):
    """BatchNorm2d over the batches of `size` processes, which are equally large."""

    def __init__(self, plain: nn.BatchNorm2d, size: int) -> None:
        super().__init__(plain.num_features, plain.eps, plain.momentum)
        self.load_state_dict(plain.state_dict())
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        wide = x.float()
        mean = all_reduce(wide.mean((0, 2, 3))) / self.size
        centred = wide - mean[:, None, None]
        variance = all_reduce(centred.square().mean((0, 2, 3))) / self.size
        count = self.size * x.numel() // self.num_features
        with torch.no_grad():
            assert self.running_mean is not None and self.running_var is not None
            assert self.num_batches_tracked is not None and self.momentum is not None
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
        scale = self.weight * (variance + self.eps).rsqrt()
        normal = centred * scale[:, None, None] + self.bias[:, None, None]
        return normal.to(x.dtype)
