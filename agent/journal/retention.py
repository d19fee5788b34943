"""What the journal forgets, and when."""

from __future__ import annotations

import math
import sqlite3
import time
from dataclasses import dataclass

DAY_S = 86_400

# All that every client has acknowledged; nothing while no client has.
_ACKNOWLEDGED = "(epoch, seq) <= (SELECT epoch, seq FROM acknowledged ORDER BY epoch, seq LIMIT 1)"
# Of an age to go: by its own clock; or, where that was ahead, by that of a later one, looked for in
# strides. Not by being ahead alone: it may be today's clock that is wrong, and behind.
_OF_AGE = """(
    stored_at < :old_s OR stored_at > :ahead_s AND id < (
        WITH RECURSIVE strides(id) AS (
            SELECT MIN(id) FROM verdicts
            UNION ALL
            SELECT id + :stroke FROM strides WHERE id < (SELECT MAX(id) FROM verdicts)
        )
        SELECT MAX(id) FROM verdicts WHERE id IN strides AND stored_at < :old_s
    )
)"""


@dataclass(frozen=True)
class Retention:
    """A verdict is kept until every client has acknowledged it and it has reached an age.

    Only when the journal outgrows its size are older ones removed too, whoever still waits for
    them; the oldest go first.

    acknowledged_days: age at which an acknowledged verdict may go; max_mb: size of the journal.
    """

    acknowledged_days: float = 30
    max_mb: float = 1000

    def apply(self, connection: sqlite3.Connection, stroke: int) -> int:
        """Remove what may go, at most `stroke` verdicts, in the transaction that is open.

        Returns:
            How many of them some client, or every client, had not acknowledged yet.
        """
        oldest = f"id IN (SELECT id FROM verdicts ORDER BY id LIMIT {stroke})"
        now_s = time.time()
        connection.execute(
            f"DELETE FROM verdicts WHERE {oldest} AND {_OF_AGE} AND {_ACKNOWLEDGED}",
            {
                "old_s": now_s - self.acknowledged_days * DAY_S,
                "ahead_s": now_s + DAY_S,
                "stroke": stroke,
            },
        )
        unseen = 0
        excess = min(stroke, self._excess(connection))
        if excess:
            first = f"id IN (SELECT id FROM verdicts ORDER BY id LIMIT {excess})"
            (unseen,) = connection.execute(
                f"SELECT COUNT(*) FROM verdicts WHERE {first} AND NOT COALESCE({_ACKNOWLEDGED}, 0)"
            ).fetchone()
            connection.execute(f"DELETE FROM verdicts WHERE {first}")
        connection.execute(
            "DELETE FROM epochs WHERE epoch < (SELECT epoch FROM verdicts ORDER BY id LIMIT 1)"
        )
        connection.execute(
            "DELETE FROM late_results WHERE (epoch, seq) < "
            "(SELECT epoch, seq FROM verdicts ORDER BY id LIMIT 1)"
        )
        return int(unseen)

    def _excess(self, connection: sqlite3.Connection) -> int:
        """How many verdicts of the usual size take up what is beyond the journal's size."""
        pages, free, page_bytes = (
            int(connection.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_count", "freelist_count", "page_size")
        )
        used = (pages - free) * page_bytes
        beyond = used - self.max_mb * 1e6
        if beyond <= 0:
            return 0
        (rows,) = connection.execute("SELECT MAX(id) - MIN(id) + 1 FROM verdicts").fetchone()
        return math.ceil(beyond / used * (rows or 0))
