"""The files beside a journal: those of one name, and the lock that also tells the last epoch."""

from __future__ import annotations

import fcntl
import os
import pwd
import shlex
from pathlib import Path
from typing import IO

from agent.errors import InputError
from agent.journal.database import JournalUnusable

# All that a journal consists of, its -shm only of earlier versions; its lock stays.
ENDS = ("", "-wal", "-shm", ".ahead")


def beside(path: Path, suffix: str) -> Path:
    """The file of a journal whose name has this end."""
    return path.with_name(path.name + suffix)


def hold(path: Path) -> IO[str]:
    """Hold the lock of a journal; the kernel lets go of it however the process ends.

    Raises:
        JournalUnusable: its disk takes nothing.
        InputError: its folder is missing or another user's, or another station has it open.
    """
    try:
        lock = open(beside(path, ".lock"), "a")  # noqa: SIM115 (held open)
    except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
        raise InputError(f"cannot open the journal {path}: {_why(error, path)}") from error
    except OSError as error:
        raise JournalUnusable(
            f"cannot open the journal {path}: {error.strerror}", corrupt=False
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise InputError(f"the journal {path} is in use by another station") from error
    return lock


def _why(error: OSError, path: Path) -> str:
    """In words, with what to do where another user, such as root, has run the station once."""
    try:
        owner = beside(path, ".lock").stat().st_uid
    except OSError:
        return str(error.strerror)
    if owner == os.geteuid():
        return str(error.strerror)
    # By name: who may not look into the folder has no shell that finds them.
    files = [str(each) for end in (*ENDS, ".lock") if (each := beside(path, end)).exists()]
    user = _name(os.geteuid())
    return (
        f"{_name(owner)} owns its files, and has run the station or copied them: "
        f"sudo chown {user}: {shlex.join(files)}, and run the station as {user} alone"
    )


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def last_epoch(path: Path) -> int:
    """The epoch that was begun last in the journal at `path`, 0 if unknown.

    Beside the journal, as it outlives one that is set aside: a clock that went back meanwhile would
    give an epoch that every client has seen already.
    """
    try:
        return int(beside(path, ".lock").read_text())
    except (OSError, ValueError):
        return 0
