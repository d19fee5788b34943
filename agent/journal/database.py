"""The journal's SQLite file."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from agent.errors import InputError

VERSION = 2
# Came later, and asks nothing of those who do not know it.
NOTES = "CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, content BLOB NOT NULL)"
BUSY_MS = 2000
# The WAL index lies on the heap, as no other process may open the file meanwhile. In a mapped file,
# a store of the writer's may wait for a disk that hangs, and older kernels then let every thread of
# the process wait that takes or gives back memory.
OWN = "vfs=unix-excl"
# Any version of a journal has these.
SIGNS = frozenset({"epochs", "verdicts"})
# Which SQLite says of a file that another process has open.
LOCKED = "database is locked"

TABLES = """
CREATE TABLE epochs (epoch INTEGER PRIMARY KEY, first_seq INTEGER NOT NULL);
CREATE TABLE reserved (id INTEGER PRIMARY KEY CHECK (id = 1), seq INTEGER NOT NULL);
CREATE TABLE committed (
    id INTEGER PRIMARY KEY CHECK (id = 1), epoch INTEGER NOT NULL, ticket INTEGER NOT NULL
);
CREATE TABLE verdicts (
    id INTEGER PRIMARY KEY,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    stored_at INTEGER NOT NULL,
    topic TEXT NOT NULL,
    payload BLOB NOT NULL,
    UNIQUE (epoch, seq)
);
CREATE TABLE late_results (
    id INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, payload BLOB NOT NULL
);
CREATE TABLE open_parts (part_id TEXT PRIMARY KEY, deadline_ms REAL);
CREATE TABLE acknowledged (
    client TEXT PRIMARY KEY, epoch INTEGER NOT NULL, seq INTEGER NOT NULL
);
INSERT INTO reserved VALUES (1, 0);
INSERT INTO committed VALUES (1, 0, 0);
"""


class JournalUnusable(InputError):
    """The journal's file or its disk is at fault, not what was asked.

    corrupt: the file is; another one in its place would do.
    """

    def __init__(self, message: str, *, corrupt: bool) -> None:
        super().__init__(message)
        self.corrupt = corrupt


def connect(path: Path) -> sqlite3.Connection:
    """Open the journal for writing, checked page by page; make it when it is missing.

    No other process can read or write it until it is closed; other connections of this one can.
    synchronous=FULL: with NORMAL, a WAL database may forget its last commits at power loss.

    Raises:
        JournalUnusable: it is corrupt, its disk takes nothing, or another program has it open.
        InputError: it is no journal, or of another version; nothing of it was changed.
    """
    try:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?{OWN}",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            _prepare(connection, path)
        except BaseException:
            connection.close()
            raise
    except sqlite3.OperationalError as error:
        # Full, read-only, or not to be opened: the file itself may be as good as ever.
        words = "another program has it open: end that" if str(error) == LOCKED else str(error)
        raise JournalUnusable(f"cannot use {path} as a journal: {words}", corrupt=False) from error
    except sqlite3.DatabaseError as error:
        raise JournalUnusable(f"cannot use {path} as a journal: {error}", corrupt=True) from error
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute(f"PRAGMA busy_timeout={BUSY_MS}")
    new = _look_at(connection, path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    if new:
        connection.executescript(f"BEGIN; {TABLES} {NOTES}; PRAGMA user_version={VERSION}; COMMIT;")
        return
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        words = " ".join(found.split())
        raise JournalUnusable(f"the journal {path} is corrupt: {words}", corrupt=True)
    connection.execute(NOTES)


def _look_at(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether the file is still empty; before anything is set in what may be another program's."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if version == 0 and not tables:
        return True
    if version > VERSION and tables >= SIGNS:
        raise InputError(
            f"{path} is a journal of a newer normline (version {version}, this one reads {VERSION})"
            ": update normline"
        )
    if version != VERSION or not tables >= SIGNS:
        raise InputError(
            f"{path} is not a journal that this normline reads: give another journal.path"
        )
    return False


def connect_read_only(path: Path) -> sqlite3.Connection:
    """A connection that cannot write, for the thread that calls this, beside one that can."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&{OWN}", uri=True)
    connection.execute(f"PRAGMA busy_timeout={BUSY_MS}")
    return connection
