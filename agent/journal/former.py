"""What was kept elsewhere while the station's own journal could not be used, given back to it."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import ExitStack
from pathlib import Path

from agent.journal import changes
from agent.journal.database import JournalUnusable, connect
from agent.journal.files import ENDS, beside, hold
from agent.journal.runtime import left_ahead

log = logging.getLogger(__name__)

# What is read of it, and how that is written to the other.
COPIES = (
    ("SELECT epoch, first_seq FROM epochs", "INSERT OR IGNORE INTO epochs VALUES (?, ?)"),
    ("SELECT epoch, seq, stored_at, topic, payload FROM verdicts ORDER BY id", changes.VERDICT),
    ("SELECT epoch, seq, payload FROM late_results ORDER BY id", changes.LATE),
    ("SELECT part_id, deadline_ms FROM open_parts ORDER BY rowid", changes.OPEN),
    ("SELECT client, epoch, seq FROM acknowledged", changes.ACKNOWLEDGED),
    ("SELECT name, content FROM notes", changes.NOTE),
)


class Former:
    """The journal of a process that has ended, for another journal to take over.

    Held as an open one is, until `close`.

    Attributes:
        epoch: the last one that was begun in it.
    """

    def __init__(self, path: Path) -> None:
        """Open it.

        Raises:
            InputError: it cannot be read, or another station has it open.
        """
        self._path = path
        with ExitStack() as half_open:
            half_open.enter_context(hold(path))
            self._connection = connect(path)
            half_open.callback(self._connection.close)
            try:
                left = left_ahead(self._connection, path, None)
                self._unwritten = changes.unwritten(self._connection, path, left)
                (epoch,) = self._connection.execute("SELECT epoch FROM committed").fetchone()
            except (sqlite3.Error, OSError) as error:
                raise JournalUnusable(
                    f"cannot read the journal {path}: {error}", corrupt=False
                ) from error
            self.epoch = int(epoch)
            self._open = half_open.pop_all()

    def copy_to(self, connection: sqlite3.Connection) -> None:
        """Add all that it holds to another journal, in the transaction that is open there."""
        known = "SELECT 1 FROM epochs WHERE epoch = ?"
        if connection.execute(known, (self.epoch,)).fetchone():
            return  # It was copied before, and could not be removed.
        for select, insert in COPIES:
            connection.executemany(insert, self._connection.execute(select))
        for change in self._unwritten:
            for sql, values in change.statements:
                connection.execute(sql, values)
        log.info("took over what was kept in %s", self._path)

    def remove(self) -> None:
        """Remove its files: another journal has all of it."""
        self._connection.close()
        try:
            for end in ENDS:
                beside(self._path, end).unlink(missing_ok=True)
        except OSError as error:
            log.error("cannot remove %s, which was taken over: %s", self._path, error.strerror)

    def close(self) -> None:
        """Let go of it."""
        self._open.close()
