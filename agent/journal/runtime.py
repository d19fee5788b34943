"""The folder in memory that a service has, where the log ahead of its journal lies."""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
from pathlib import Path

from agent.journal.ahead import Entry, read_entries
from agent.journal.changes import NOTE
from agent.journal.files import beside

log = logging.getLogger(__name__)

# What the journal notes the folder under.
FOLDER = "ahead"


def runtime_folder() -> Path | None:
    """systemd's, which outlives the process; None for who runs it by hand.

    A service's /tmp is its own, and ends with it.
    """
    folder = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    return Path(folder) if folder else None


def ahead_in(folder: Path, path: Path) -> Path:
    """The log ahead of the journal at `path`, and of no other: stations may share the folder."""
    digest = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()
    return folder / f"{path.name}-{digest[:16]}.ahead"


def note_folder(connection: sqlite3.Connection, folder: Path) -> None:
    """Tell the next start, which may be one by hand, where the log ahead lies."""
    connection.execute(NOTE, (FOLDER, os.fsencode(folder)))


def left_ahead(connection: sqlite3.Connection, path: Path, folder: Path | None) -> list[Entry]:
    """What the processes before have left in the logs ahead of the journal at `path`.

    Raises:
        OSError: the one on the disk cannot be read.
    """
    noted = connection.execute("SELECT content FROM notes WHERE name = ?", (FOLDER,)).fetchone()
    folders = {folder, Path(os.fsdecode(noted[0])) if noted else None}
    entries = read_entries(beside(path, ".ahead"))
    for memory in (ahead_in(each, path) for each in folders if each is not None):
        try:
            entries += read_entries(memory)
        except OSError as error:
            log.error("what was left in %s is not taken over: %s", memory, error.strerror)
    return entries
