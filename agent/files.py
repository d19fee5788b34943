"""Files that are whole or absent."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection
from pathlib import Path

from agent.errors import InputError


def write_atomically(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write `data` to `path` through a temporary file in the same folder, synced to disk.

    A reader sees the old content or the new, also after power is lost. The file has `mode`; while
    it is written only its owner can read it.

    Raises:
        InputError: the folder is missing or cannot be written, or `path` is no file.
    """
    path = Path(path)
    temporary: str | None = None
    try:
        _check_replaceable(path)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.replace(temporary, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error
    finally:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)


def check_writable(path: Path) -> None:
    """Find out before long work whether its result can be written.

    Raises:
        InputError: `path` is a folder, a device or a pipe, or its folder is missing or cannot be
            written.
    """
    path = Path(path)
    try:
        _check_replaceable(path)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}."):
            pass
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error


def check_apart(outputs: Collection[Path], inputs: Collection[Path] = ()) -> None:
    """Find out before long work whether its results would be written over each other or an input.

    Links are followed, symbolic and hard ones.

    Args:
        outputs: the files that a command writes.
        inputs: the files that it reads and that must stay as they are.

    Raises:
        InputError: an output is the same file as another of them, or as an input.
    """
    before: list[Path] = []
    for output in outputs:
        if any(_is_same(output, other) for other in inputs):
            raise InputError(f"cannot write {output}: it is read here: give another name")
        if any(_is_same(output, other) for other in before):
            raise InputError(
                f"cannot write {output}: another result is written there: give another name"
            )
        before.append(output)


def _check_replaceable(path: Path) -> None:
    """Refuse what must never be replaced by a file; root would take /dev/null from everybody."""
    if path.is_dir():
        raise InputError(f"cannot write {path}: it is a folder")
    # /dev/stdout is a link, and may lead to a file.
    in_dev = os.path.realpath(path.parent) == "/dev"
    if in_dev or (path.exists() and not path.is_file()):
        raise InputError(f"cannot write {path}: it is no regular file: give the name of one")


def _is_same(path: Path, other: Path) -> bool:
    if os.path.exists(path) and os.path.exists(other):
        return os.path.samefile(path, other)
    return os.path.realpath(path) == os.path.realpath(other)
