"""What the tests of the journal do to it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

from agent.journal import Journal

ROOT = Path(__file__).resolve().parents[3]
TOPIC = b"v1/a/b/c/verdict/tiny/"


def settle(journal: Journal) -> None:
    """Changes are committed in order: when this one is, so are all before it."""
    assert journal.acknowledge("settle", 1, 1, timeout_s=10)


def record(journal: Journal, count: int) -> list[int]:
    seqs = [journal.next_seq() for _ in range(count)]
    for seq in seqs:
        journal.record(seq, TOPIC, b"payload %d" % seq)
    return seqs


def before_each_statement(journal: Journal, act: Callable[[str], None]) -> None:
    """Let `act` see every statement of the writer before it is executed, and hold or refuse it."""
    connection = journal._writer._connection

    class Disk:
        rollback, close = connection.rollback, connection.close

        def execute(self, sql: str, values: tuple[object, ...] = ()) -> sqlite3.Cursor:
            act(sql)
            return connection.execute(sql, values)

    journal._writer._connection = Disk()  # type: ignore[assignment]


def stored_in(journal: Journal) -> int:
    reader = journal.reader()
    count = sum(epoch.last_seq - epoch.first_seq + 1 for epoch in reader.epochs()[0])
    reader.close()
    return count


def spoil(path: Path) -> None:
    """Overwrite the middle of a journal, as a failing disk may."""
    data = bytearray(path.read_bytes())
    data[4096 : len(data) - 4096] = b"\xa5" * (len(data) - 8192)
    path.write_bytes(data)
