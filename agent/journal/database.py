"""The journal's SQLite file."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from agent.errors import InputError

VERSION = 1
BUSY_MS = 2000

TABLES = """
CREATE TABLE epochs (epoch INTEGER PRIMARY KEY, first_seq INTEGER NOT NULL);
CREATE TABLE reserved (id INTEGER PRIMARY KEY CHECK (id = 1), seq INTEGER NOT NULL);
CREATE TABLE verdicts (
    id INTEGER PRIMARY KEY,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    topic TEXT NOT NULL,
    payload BLOB NOT NULL,
    UNIQUE (epoch, seq)
);
CREATE TABLE open_parts (part_id TEXT PRIMARY KEY, deadline_ms REAL);
CREATE TABLE acknowledged (
    client TEXT PRIMARY KEY, epoch INTEGER NOT NULL, seq INTEGER NOT NULL
);
INSERT INTO reserved VALUES (1, 0);
"""


def connect(path: Path) -> sqlite3.Connection:
    """Open the journal for writing; make it when it is missing.

    synchronous=FULL: with NORMAL, a WAL database may forget its last commits at power loss.

    Raises:
        InputError: it cannot be made or written, is no journal, or is of a newer version.
    """
    try:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise InputError(f"cannot open the journal {path}: {error}") from error
    try:
        connection.execute(f"PRAGMA busy_timeout={BUSY_MS}")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == 0 and not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
            connection.executescript(f"BEGIN; {TABLES} PRAGMA user_version={VERSION}; COMMIT;")
        elif version != VERSION:
            raise InputError(
                f"{path} is not a journal that this normline reads (version {version}, "
                f"expected {VERSION}): give another journal.path"
            )
    except sqlite3.Error as error:
        connection.close()
        raise InputError(f"cannot use {path} as a journal: {error}") from error
    except InputError:
        connection.close()
        raise
    return connection


def connect_read_only(path: Path) -> sqlite3.Connection:
    """A connection that cannot write, for the thread that calls this."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    connection.execute(f"PRAGMA busy_timeout={BUSY_MS}")
    return connection
