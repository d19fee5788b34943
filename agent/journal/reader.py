"""Reading the journal, for replay."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agent.journal.database import connect_read_only

EPOCHS_LISTED = 100


@dataclass(frozen=True)
class Stored:
    """A verdict as it was published."""

    seq: int
    topic: bytes
    payload: bytes


@dataclass(frozen=True)
class EpochRange:
    """What is kept of one epoch: the first and the last sequence number."""

    epoch: int
    first_seq: int
    last_seq: int


class JournalReader:
    """A reading connection. It belongs to the thread that made it.

    Every call is a transaction of its own: one held open over a long replay would keep SQLite
    from folding the write-ahead log back, which then grows without bound.
    """

    def __init__(self, path: Path) -> None:
        self._connection = connect_read_only(path)

    def page(self, epoch: int, first: int, last: int, limit: int) -> list[Stored]:
        """The first `limit` durable verdicts of an epoch from `first` to `last`, in order."""
        rows = self._connection.execute(
            "SELECT seq, topic, payload FROM verdicts "
            "WHERE epoch = ? AND seq BETWEEN ? AND ? ORDER BY seq LIMIT ?",
            (epoch, first, last, limit),
        )
        return [Stored(seq, topic.encode(), payload) for seq, topic, payload in rows]

    def epochs(self, since: int | None = None) -> tuple[list[EpochRange], bool]:
        """Epochs that hold a verdict, oldest first, at most EPOCHS_LISTED.

        Args:
            since: the first epoch to list; None for the oldest that is kept.

        Returns:
            The epochs, and whether there are more after them.
        """
        rows = self._connection.execute(
            "SELECT * FROM (SELECT epoch, "
            "(SELECT MIN(seq) FROM verdicts v WHERE v.epoch = e.epoch) AS first, "
            "(SELECT MAX(seq) FROM verdicts v WHERE v.epoch = e.epoch) AS last "
            "FROM epochs e) WHERE last IS NOT NULL AND epoch >= ? ORDER BY epoch LIMIT ?",
            (since or 0, EPOCHS_LISTED + 1),
        ).fetchall()
        return [EpochRange(*row) for row in rows[:EPOCHS_LISTED]], len(rows) > EPOCHS_LISTED

    def acknowledged(self, client: str) -> tuple[int, int] | None:
        """(epoch, seq) up to which a client has said that it is done; None when it never has."""
        row = self._connection.execute(
            "SELECT epoch, seq FROM acknowledged WHERE client = ?", (client,)
        ).fetchone()
        return (row[0], row[1]) if row else None

    def late_results(self, epoch: int) -> list[tuple[int, bytes]]:
        """What was found too late in an epoch: the verdict's number and the finding, in order."""
        return self._connection.execute(
            "SELECT seq, payload FROM late_results WHERE epoch = ? ORDER BY id", (epoch,)
        ).fetchall()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
