"""Of what the logs ahead have, the next start does what the file has not, in its order."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from agent.journal.ahead import Entry
from agent.journal.changes import unwritten


def test_what_is_unwritten_is_done_once_and_in_the_order_in_which_it_came(
    tmp_path: Path,
) -> None:
    """Out of order, a part that was answered was open again, and got a second verdict."""
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE committed (epoch, ticket)")
    connection.execute("INSERT INTO committed VALUES (7, 4)")
    left = [
        Entry(7, 6, ["end", "A"]),
        Entry(7, 4, ["open", "written", None]),
        Entry(7, 5, ["open", "A", 80.0]),
        # of another log, and of a run before
        Entry(7, 6, ["end", "A"]),
        Entry(6, 9, ["open", "long answered", None]),
    ]
    missing = unwritten(connection, tmp_path, left)
    connection.close()
    assert [values for change in missing for _, values in change.statements] == [
        ("A", 80.0),
        ("A",),
    ]
