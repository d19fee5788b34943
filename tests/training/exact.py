"""Trainings whose results can be compared bit by bit: float32, every step recorded."""

from __future__ import annotations

import os
import signal
import sys
from itertools import count

import training.device
import training.trainer
from agent.cli import main
from training.batches import BatchMaker
from training.trainer import Trainer

WITH_A_SECOND_PROCESS = BatchMaker.stream


def be_exact() -> None:
    """bfloat16 hides differences of rounding or makes them large, from machine to machine."""
    training.device.has_fast_bfloat16 = lambda device: False
    training.trainer.LOG_EVERY = 1
    make_batches_here()


def make_batches_here() -> None:
    """No second process that loads torch."""
    BatchMaker.stream = lambda self, first: map(  # type: ignore[method-assign]
        self.__getitem__, count(first)
    )


def die_at(step: int, saved: int) -> None:
    """Save at one step, as the clock would, and kill this process at a later one."""
    train_step = Trainer._train_step

    def dying(trainer: Trainer, *arguments: object) -> object:
        if trainer.step == saved:
            trainer.save()
        if trainer.step == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return train_step(trainer, *arguments)  # type: ignore[arg-type]

    Trainer._train_step = dying  # type: ignore[method-assign,assignment]


if __name__ == "__main__":
    be_exact()
    if sys.argv[1] == "--die-at":
        die_at(int(sys.argv[2]), int(sys.argv[3]))
        del sys.argv[1:4]
    main(sys.argv[1:])
