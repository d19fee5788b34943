"""Work goes on when nobody is there any more to be told."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.training.small import order
from training.commands import train
from training.run import load_run
from training.say import say
from training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("no_second_process")


@contextmanager
def listener(kind: str) -> Iterator[tuple[int, Callable[[], None]]]:
    """Stderr is a terminal or a pipe: its other end, and what closes that."""
    reader, writer = os.openpty() if kind == "terminal" else os.pipe()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", os.fdopen(writer, "w", buffering=1))
        yield reader, lambda: os.close(reader)


@pytest.mark.parametrize("kind", ["terminal", "pipe"])
def test_a_line_for_nobody_is_no_error(kind: str) -> None:
    with listener(kind) as (reader, leave):
        say("one")
        assert os.read(reader, 99).split() == [b"one"]
        leave()
        say("two")
        print("three", file=sys.stderr)


@pytest.mark.parametrize("kind", ["terminal", "pipe"])
def test_a_training_whose_listener_has_gone_leaves_its_run(
    kind: str, parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`normline train … &` and `exit`: an hour later it had no weights, and nobody was told."""
    train_step = Trainer._train_step

    with listener(kind) as (_, leave):

        def leaving(self: Trainer, *arguments: object) -> object:
            leave()
            return train_step(self, *arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(Trainer, "_train_step", leaving)
        train.main(order(parts, tmp_path / "run", "--steps", "1"), standalone_mode=False)
    assert load_run(tmp_path / "run").settings.training["steps_done"] == 1
