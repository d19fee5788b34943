"""Files that are whole, old or new, also after a power cut."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from training.errors import InputError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file beside `path`; what is written to it takes the place of `path`, synced to disk.

    Raises InputError where it cannot be written; `path` is then what it was before.
    """
    temporary = path.with_name(path.name + ".part")
    try:
        with _told(path):
            temporary.unlink(missing_ok=True)  # left by a killed process
            yield temporary
            _sync(temporary)
            os.replace(temporary, path)
            _sync(path.parent)
    finally:
        with suppress(OSError):
            temporary.unlink()


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
        temporary.touch()
        mode = temporary.stat().st_mode
        save_file(tensors, temporary, metadata)
        # Safetensors leaves a file that its owner alone may read, whatever the umask.
        temporary.chmod(mode)


def append_json(path: Path, entry: dict[str, Any]) -> None:
    """Add one line of JSON; raises InputError where it cannot be written."""
    with _told(path), path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


def check_readable(path: Path) -> None:
    """Raise the reason why a file cannot be opened; to safetensors each such file is missing.

    That is FileNotFoundError where there is none, else InputError.
    """
    try:
        path.open("rb").close()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None


def remove_half_written(folder: Path) -> None:
    """Remove what safetensors writes through, and what a killed process has left of it."""
    for path in folder.glob(".tmp??????"):
        path.unlink()


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"cannot write {path}: {reason}: mend that and start again, a training with --resume"
        ) from error


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
