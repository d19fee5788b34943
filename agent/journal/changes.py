"""The changes of a journal: as SQL, and as what the log ahead keeps of them."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.journal.ahead import Entry, of_a_newer

# What the log ahead keeps of a change: its kind, and what that needs.
Content = list[Any]

OPEN = "INSERT OR REPLACE INTO open_parts VALUES (?, ?)"
VERDICT = (
    "INSERT OR IGNORE INTO verdicts (epoch, seq, stored_at, topic, payload) VALUES (?, ?, ?, ?, ?)"
)
LATE = "INSERT INTO late_results (epoch, seq, payload) VALUES (?, ?, ?)"
NOTE = "INSERT OR REPLACE INTO notes VALUES (?, ?)"
ACKNOWLEDGED = (
    "INSERT INTO acknowledged VALUES (?, ?, ?) ON CONFLICT (client) DO UPDATE "
    "SET epoch = excluded.epoch, seq = excluded.seq "
    "WHERE (excluded.epoch, excluded.seq) > (acknowledged.epoch, acknowledged.seq)"
)


@dataclass(frozen=True)
class OpenPart:
    """A part that was triggered and has no verdict yet."""

    part_id: str
    deadline_ms: float | None


@dataclass(frozen=True)
class Change:
    """Statements that are committed together or not at all.

    seq: the verdict that is durable once they are committed; None for other changes.
    ahead: what the log ahead keeps of it, for `unwritten`: the first for which it has room. Nothing
        for a change that may be lost with the process.
    vital: to be written however long the disk takes nothing, as nothing would be right without it.
    """

    statements: tuple[tuple[str, tuple[Any, ...]], ...]
    seq: int | None = None
    ahead: tuple[Content, ...] = ()
    vital: bool = False


def opening(part: OpenPart) -> Change:
    """A part awaits its verdict."""
    values = (part.part_id, part.deadline_ms)
    return Change(((OPEN, values),), ahead=(["open", *values],))


def verdict(epoch: int, seq: int, topic: str, payload: str, answers: str | None) -> Change:
    """A verdict, and the end of the open part that it answers.

    That end is vital, and kept also where there is no room for the verdict: a part that has been
    answered is not answered again.
    """
    insert = (VERDICT, (epoch, seq, int(time.time()), topic, payload.encode()))
    kept = ["verdict", seq, topic, payload, answers]
    if answers is None:
        return Change((insert,), seq, (kept,))
    end = _end(answers)
    return Change((insert, *end.statements), seq, (kept, *end.ahead), vital=True)


def late(epoch: int, seq: int, payload: str) -> Change:
    """What was found too late on the part that a verdict had answered."""
    values = (epoch, seq, payload.encode())
    return Change(((LATE, values),), ahead=(["late", seq, payload],))


def reservation(last: int) -> Change:
    """Numbers up to `last` may be in use."""
    return Change(
        (("UPDATE reserved SET seq = MAX(seq, ?)", (last,)),),
        ahead=(["reserved", last],),
        vital=True,
    )


def release(last: int) -> Change:
    """Numbers beyond `last` are free again."""
    return Change((("UPDATE reserved SET seq = ?", (last,)),))


def note(name: str, content: bytes) -> Change:
    """A note, in place of what its name kept."""
    return Change(((NOTE, (name, content)),))


def acknowledgement(client: str, epoch: int, seq: int) -> Change:
    """A client is done up to (epoch, seq); it never moves back."""
    return Change(((ACKNOWLEDGED, (client, epoch, seq)),))


def unwritten(connection: sqlite3.Connection, path: Path, entries: Iterable[Entry]) -> list[Change]:
    """The changes that the logs ahead of a journal have and its file has not, oldest first.

    Raises:
        InputError: they are of a newer normline; the journal is at `path`.
    """
    epoch, done = connection.execute("SELECT epoch, ticket FROM committed").fetchone()
    missing = {
        entry.ticket: entry.content
        for entry in entries
        if entry.epoch == epoch and entry.ticket > done
    }
    return [_redo(path, epoch, content) for _, content in sorted(missing.items())]


def _redo(path: Path, epoch: int, content: Content) -> Change:
    """The change of an epoch that the log ahead has kept as `content`."""
    match content:
        case ["open", str(part_id), int() | float() | None as deadline_ms]:
            return opening(OpenPart(part_id, deadline_ms))
        case ["end", str(part_id)]:
            return _end(part_id)
        case ["reserved", int(last)]:
            return reservation(last)
        case ["verdict", int(seq), str(topic), str(payload), str() | None as answers]:
            return verdict(epoch, seq, topic, payload, answers)
        case ["late", int(seq), str(payload)]:
            return late(epoch, seq, payload)
    raise of_a_newer(path)


def _end(part_id: str) -> Change:
    return Change(
        (("DELETE FROM open_parts WHERE part_id = ?", (part_id,)),), ahead=(["end", part_id],)
    )
