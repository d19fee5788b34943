"""Files that are whole, old or new, whatever happens."""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from training.errors import InputError
from training.files import append_json, replace_text, save_tensors
from training.pictures import draw_losses
from training.run import METRICS, save_frames

WRITERS: list[Callable[[Path], None]] = [
    lambda path: replace_text(path, "new"),
    lambda path: save_tensors(path, {"a": torch.zeros(1)}),
    lambda path: save_frames(path, np.zeros((1, 2, 2, 3), np.uint8), np.zeros(1, bool)),
]


@pytest.mark.parametrize("write", WRITERS, ids=["text", "tensors", "frames"])
def test_a_power_cut_finds_the_new_content_on_disk_before_its_name(
    write: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Renamed first and written later, a file can be empty when power comes back."""
    done: list[str] = []
    sync, replace = os.fsync, os.replace

    def syncing(descriptor: int) -> None:
        done.append(f"sync {Path(os.readlink(f'/proc/self/fd/{descriptor}')).name}")
        sync(descriptor)

    def replacing(old: Path, new: Path) -> None:
        done.append("replace")
        replace(old, new)

    monkeypatch.setattr(os, "fsync", syncing)
    monkeypatch.setattr(os, "replace", replacing)
    write(tmp_path / "file")
    assert done == ["sync file.part", "replace", f"sync {tmp_path.name}"]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("write", WRITERS, ids=["text", "tensors", "frames"])
@pytest.mark.parametrize("left", [False, True], ids=["fresh", "half written before"])
def test_who_may_read_a_file_is_for_the_umask_to_say(
    write: Callable[[Path], None], left: bool, tmp_path: Path
) -> None:
    """Weights were their owner's alone: a colleague's export said that training had not ended."""
    if left:
        (tmp_path / "file.part").touch(0o600)
    before = os.umask(0o027)
    try:
        write(tmp_path / "file")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


@contextmanager
def full_disk() -> Iterator[None]:
    """Nothing more can be written, by anybody in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _picture(path: Path) -> None:
    draw_losses(path.with_name(METRICS), path)


@pytest.mark.parametrize("write", [*WRITERS, _picture], ids=["text", "tensors", "frames", "png"])
def test_a_full_disk_is_told_in_one_line_and_what_was_there_stays(
    write: Callable[[Path], None], tmp_path: Path
) -> None:
    """A traceback, and half a file that kept the disk full."""
    (tmp_path / METRICS).touch()
    (tmp_path / "file").write_text("old")
    with full_disk(), pytest.raises(InputError) as error:
        write(tmp_path / "file")
    assert str(error.value).startswith(f"cannot write {tmp_path / 'file'}: ")
    assert "File too large" in str(error.value) and "--resume" in str(error.value)
    assert (tmp_path / "file").read_text() == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"file", METRICS}


def test_metrics_that_cannot_be_written_are_told_in_one_line(tmp_path: Path) -> None:
    append_json(tmp_path / METRICS, {"step": 1})
    with full_disk(), pytest.raises(InputError, match=r"cannot write .*metrics\.jsonl: File too"):
        append_json(tmp_path / METRICS, {"step": 2})
    assert json.loads((tmp_path / METRICS).read_text()) == {"step": 1}
