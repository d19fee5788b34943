"""What the station keeps: numbers its verdicts, stores them, remembers parts without one."""

from __future__ import annotations

import fcntl
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from agent.errors import InputError
from agent.journal.database import connect
from agent.journal.reader import JournalReader
from agent.journal.writer import Change, JournalWriter

# Half of it must last while the disk takes nothing: more than two hours at 60 parts a second.
BLOCK = 1_000_000
CLOSE_S = 5.0


@dataclass(frozen=True)
class OpenPart:
    """A part that was triggered and has no verdict yet."""

    part_id: str
    deadline_ms: float | None


class Journal:
    """An open journal: one epoch, from start to close.

    Sequence numbers are taken from blocks that are reserved on disk long before their first number
    is used, so a number is never used twice, whatever was not yet written when the process was
    killed. A clean end gives the rest of the block back. For one thread, except `acknowledge`,
    `reader` and the properties.

    Attributes:
        epoch: grows with every start; seconds since 1970 unless that has been used, so that it
            also grows when the journal was lost.
        first_seq: of this epoch.
        interrupted: parts that the station before this one had accepted and not answered. They
            stay in the journal until `record` answers them.
    """

    def __init__(self, path: Path, keep: int) -> None:
        """Open the journal at `path` and start an epoch, of which it is durable that it began.

        Args:
            path: the SQLite file, made when missing.
            keep: number of verdicts to keep.

        Raises:
            InputError: it cannot be written, is no journal, or another station has it open.
        """
        self._path = path
        self._lock = _lock(path)
        try:
            connection = connect(path)
            try:
                self.epoch, self.first_seq = _begin_epoch(connection)
            except sqlite3.Error as error:
                connection.close()
                raise InputError(f"cannot write the journal {path}: {error}") from error
        except InputError:
            self._lock.close()
            raise
        rows = connection.execute("SELECT part_id, deadline_ms FROM open_parts ORDER BY rowid")
        self.interrupted = tuple(OpenPart(*row) for row in rows)
        self._next_seq = self.first_seq
        self._reserved = self.first_seq - 1 + BLOCK
        self._writer = JournalWriter(connection, self.first_seq - 1, keep)

    @property
    def last_seq(self) -> int:
        """The last sequence number that was handed out; first_seq - 1 before the first."""
        return self._next_seq - 1

    @property
    def durable_seq(self) -> int:
        """The last verdict of this epoch that would survive a power loss."""
        return self._writer.durable_seq

    @property
    def fault(self) -> str | None:
        """Why nothing can be written at the moment; None when all is well."""
        return self._writer.fault

    @property
    def lost(self) -> int:
        """Changes dropped because too many were waiting for a disk that took none."""
        return self._writer.lost

    def next_seq(self) -> int:
        """A sequence number, never handed out before."""
        if self._next_seq > self._reserved - BLOCK // 2:
            self._reserved += BLOCK
            self._submit("UPDATE reserved SET seq = MAX(seq, ?)", self._reserved)
        self._next_seq += 1
        return self._next_seq - 1

    def open_part(self, part: OpenPart) -> int:
        """Remember a part until it is answered; returns a ticket for `is_durable`."""
        return self._submit(
            "INSERT OR REPLACE INTO open_parts VALUES (?, ?)", part.part_id, part.deadline_ms
        )

    def record(self, seq: int, topic: bytes, payload: bytes, answers: str | None = None) -> None:
        """Store a verdict; an open part that it `answers` is closed in the same commit."""
        insert = (
            "INSERT INTO verdicts (epoch, seq, topic, payload) VALUES (?, ?, ?, ?)",
            (self.epoch, seq, topic.decode(), payload),
        )
        close = ("DELETE FROM open_parts WHERE part_id = ?", (answers,))
        self._writer.submit(Change((insert, close) if answers is not None else (insert,), seq))

    def acknowledge(self, client: str, epoch: int, seq: int, timeout_s: float) -> bool:
        """Store that a client is done up to (epoch, seq); never moves back. False: not in time."""
        ticket = self._submit(
            "INSERT INTO acknowledged VALUES (?, ?, ?) ON CONFLICT (client) DO UPDATE "
            "SET epoch = excluded.epoch, seq = excluded.seq "
            "WHERE (excluded.epoch, excluded.seq) > (acknowledged.epoch, acknowledged.seq)",
            client,
            epoch,
            seq,
        )
        return self._writer.wait(ticket, timeout_s)

    def is_durable(self, ticket: int) -> bool:
        """Whether what this ticket was given for is on the disk."""
        return self._writer.is_durable(ticket)

    def reader(self) -> JournalReader:
        """A connection for the calling thread to read with."""
        return JournalReader(self._path)

    def close(self) -> bool:
        """Write all that is queued and end; False when the disk did not take it."""
        self._submit("UPDATE reserved SET seq = ?", self.last_seq)
        done = self._writer.close(CLOSE_S)
        self._lock.close()
        return done

    def _submit(self, sql: str, *values: Any) -> int:
        return self._writer.submit(Change(((sql, values),)))


def _begin_epoch(connection: sqlite3.Connection) -> tuple[int, int]:
    connection.execute("BEGIN IMMEDIATE")
    (last,) = connection.execute("SELECT COALESCE(MAX(epoch), 0) FROM epochs").fetchone()
    (reserved,) = connection.execute("SELECT seq FROM reserved").fetchone()
    epoch = max(last + 1, int(time.time()))
    connection.execute("INSERT INTO epochs VALUES (?, ?)", (epoch, reserved + 1))
    connection.execute("UPDATE reserved SET seq = ?", (reserved + BLOCK,))
    connection.execute("COMMIT")
    return epoch, reserved + 1


def _lock(path: Path) -> IO[str]:
    """Hold a file beside the journal; the kernel lets go of it however the process ends."""
    try:
        lock = open(path.with_name(path.name + ".lock"), "w")  # noqa: SIM115 (held open)
    except OSError as error:
        raise InputError(f"cannot open the journal {path}: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise InputError(f"the journal {path} is in use by another station") from error
    return lock
