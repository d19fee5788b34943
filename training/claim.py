"""Taking a folder for a run, or finding in it the run to go on with."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from training.budget import Budget
from training.errors import InputError
from training.order import Order
from training.run import SETTINGS, RunSettings, read_settings, write_settings

# What of a recipe is its own and not a user's to give.
RECIPE = ("t_normal", "t_noisier", "learning_rate", "painting_share", "score_weight", "good_every")
# Runs of earlier versions do not tell: their reconstruction network learnt to the end, and one of
# four images of a step was left good.
UNTOLD = {"painting_share": 1.0, "good_every": 4}


@contextmanager
def claim(order: Order, settings: RunSettings) -> Iterator[None]:
    """Hold `order.out`: what is begun there is written, or found to be begun the same way.

    Raises InputError where the folder holds a run that is not to be resumed, or another one, or
    where another training holds it.
    """
    order.out.mkdir(parents=True, exist_ok=True)
    folder = os.open(order.out, os.O_RDONLY)
    try:
        _lock(folder, order.out)
        if has_begun(order.out):
            _check_begun(order, settings)
        else:
            write_settings(order.out, settings)
        yield
    finally:
        os.close(folder)


def _lock(folder: int, path: Path) -> None:
    """The kernel lets go of it however the process ends."""
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(
            f"another training is at work in {path}: wait for it or end it, or give another --out"
        ) from None
    except OSError as error:
        # Shares of other machines may know no locks for folders.
        if error.errno not in (errno.EBADF, errno.ENOLCK, errno.ENOTSUP, errno.EINVAL):
            raise


def _check_begun(order: Order, settings: RunSettings) -> None:
    if not order.resume:
        raise InputError(
            f"{order.out} already holds a run: add --resume to go on, or give another --out"
        )
    before, refused = read_settings(order.out), f"{order.out} cannot be resumed"
    for name in ("preset", "input_size", "data_digest", "view", "pixels"):
        if getattr(before, name) != getattr(settings, name):
            was, now = getattr(before, name), getattr(settings, name)
            told = (
                "its images are seen otherwise: repeat its --roi, --ignore-mask, --align, --tiles, "
                "--overlap and --window"
                if name == "view"
                else "its images are others"
                if name == "data_digest"
                else "go on with the normline that began it, as this one shrinks images otherwise"
                if name == "pixels"
                else f"its {name} is {was}, now it is {now}"
            )
            raise InputError(f"{refused}: {told}, or give another --out")
    # Another recipe may have had another batch size, which --batch-size would not mend.
    if not same_recipe(before, settings.training):
        raise InputError(f"{refused}: it was begun with another recipe: give another --out")
    for name, option in (("seed", "--seed"), ("batch_size", "--batch-size")):
        if before.training[name] != settings.training[name]:
            raise InputError(f"{refused}: it was begun with {option} {before.training[name]}")
    # Runs of earlier versions do not tell.
    textures = settings.training["textures"]
    if before.training.get("textures", textures) != textures:
        raise InputError(
            f"{refused}: it was begun with other textures: give --textures as it was given then, "
            "or another --out"
        )
    budget = _budget(before)
    if budget != order.budget:
        raise InputError(
            f"{refused}: it was begun with {budget}, not {order.budget}: give that, or another "
            "--out"
        )


def same_recipe(run: RunSettings, recipe: Mapping[str, Any]) -> bool:
    """Whether a run was begun with what `recipe` says under the names in `RECIPE`."""
    before = {**UNTOLD, **run.training}
    return all(_plain(before.get(name)) == _plain(recipe[name]) for name in RECIPE)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def begun_budget(folder: Path) -> Budget | None:
    """The budget of the run that was begun in a folder; None where none was."""
    return _budget(read_settings(folder)) if has_begun(folder) else None


def has_begun(folder: Path) -> bool:
    """Whether a run was begun in a folder."""
    return (folder / SETTINGS).exists()


def _budget(begun: RunSettings) -> Budget | None:
    steps, seconds = (begun.training.get(name) for name in ("steps", "seconds"))
    return None if steps is seconds is None else Budget(steps, seconds)
