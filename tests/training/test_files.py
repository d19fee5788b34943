"""Files that are whole, old or new, whatever happens."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from training.files import replace_text, save_tensors
from training.run import save_frames

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
