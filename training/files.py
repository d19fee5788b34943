"""Files that are whole, old or new, also after a power cut."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file beside `path`; what is written to it takes the place of `path`, synced to disk."""
    temporary = path.with_name(path.name + ".part")
    yield temporary
    _sync(temporary)
    os.replace(temporary, path)
    _sync(path.parent)


def replace_bytes(path: Path, data: bytes) -> None:
    """Write bytes so."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def replace_text(path: Path, text: str) -> None:
    """Write text so, in UTF-8."""
    replace_bytes(path, text.encode())


def save_tensors(
    path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None
) -> None:
    """Write safetensors so."""
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata)


def append_json(path: Path, entry: dict[str, Any]) -> None:
    """Add one line of JSON."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
