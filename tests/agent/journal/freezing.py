"""A disk that hangs: a file system of its own, which the kernel is told to freeze."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MB = 64


@contextmanager
def disk_that_freezes(folder: Path) -> Iterator[Path | None]:
    """Where it is mounted, in `folder`; None where that is not to be had, as it needs root."""
    image, disk = folder / "image", folder / "disk"
    disk.mkdir(parents=True)
    with image.open("wb") as file:
        file.truncate(MB * 2**20)
    try:
        for words in (("mkfs.ext4", "-q", "-F", image), ("mount", "-o", "loop", image, disk)):
            subprocess.run(words, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        yield None
        return
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", disk], check=True)
        image.unlink()


@contextmanager
def frozen(disk: Path) -> Iterator[None]:
    """Whoever writes to the disk meanwhile waits, and no signal ends that."""
    subprocess.run(["fsfreeze", "-f", disk], check=True)
    try:
        yield
    finally:
        subprocess.run(["fsfreeze", "-u", disk], check=True)
