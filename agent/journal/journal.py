"""What the station keeps: numbers its verdicts, stores them, remembers parts without one."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from agent.errors import InputError
from agent.journal import changes
from agent.journal.ahead import AheadLog, Entry
from agent.journal.changes import Change, OpenPart
from agent.journal.database import JournalUnusable, connect
from agent.journal.files import beside, hold, last_epoch
from agent.journal.former import Former
from agent.journal.reader import JournalReader
from agent.journal.retention import Retention
from agent.journal.runtime import ahead_in, left_ahead, note_folder
from agent.journal.writer import JournalWriter

# Half of it must last while the disk takes nothing: more than two hours at 60 parts a second.
BLOCK = 1_000_000
CLOSE_S = 5.0
# The ticket of a change that was lost.
NEVER = 2**63
# What the log ahead spares for the verdict on an open part: more than a PASS can take.
VERDICT_BYTES = 6 * 1024


class Journal:
    """An open journal: one epoch, from start to close.

    Sequence numbers are taken from blocks that are reserved on disk long before their first number
    is used, so a number is never used twice, whatever was not yet written when the process was
    killed. A clean end gives the rest of the block back. A change is in the ahead log when the
    call returns, where a killed process leaves it for the next start; it is durable, also against
    a loss of power, when the writer has committed it. For one thread, except `acknowledge`,
    `note`, `noted`, `reader` and the properties.

    A part is remembered as open only where the ahead log has room for its verdict as well, so an
    answer that somebody has received is never followed by another. While the disk takes nothing
    for so long that there is no room, which `fault` tells, parts are not remembered and verdicts
    are in memory alone: an end of the process loses them.

    Attributes:
        epoch: grows with every start; seconds since 1970 unless that has been used, so that it
            also grows when the journal was lost.
        first_seq: of this epoch.
        interrupted: parts that the station before this one had accepted and not answered. They
            stay in the journal until `record` answers them.
        alarm: what is wrong with this journal for as long as it is open; None for nothing.
    """

    def __init__(
        self,
        path: Path,
        retention: Retention | None = None,
        *,
        folder: Path | None = None,
        alarm: str | None = None,
        after: int = 0,
        former: Former | None = None,
    ) -> None:
        """Open the journal at `path` and start an epoch, of which it is durable that it began.

        Args:
            path: the SQLite file, made when missing; `<path>.lock` and `<path>.ahead` lie beside.
            retention: what to forget.
            folder: one in memory, which outlives the process, to keep the log ahead in: a disk
                that hangs holds up the line otherwise.
            alarm: what the station has to say of this journal.
            after: an epoch of another journal that this one takes the place of.
            former: a journal that took the place of this one, whose content becomes this one's.

        Raises:
            JournalUnusable: it is corrupt, or its disk takes nothing.
            InputError: its folder is missing, it is no journal, a newer normline has written it,
                or another station has it open.
        """
        self._path = path
        self.alarm = alarm
        self._lock = hold(path)
        after = max(after, last_epoch(path))
        try:
            connection = connect(path)
            try:
                left = changes.unwritten(connection, path, left_ahead(connection, path, folder))
                memory = ahead_in(folder, path) if folder else None
                self._ahead = AheadLog(beside(path, ".ahead"), memory)
                self.epoch, self.first_seq = _begin_epoch(connection, left, folder, after, former)
                self._ahead.clear()
                rows = connection.execute(
                    "SELECT part_id, deadline_ms FROM open_parts ORDER BY rowid"
                )
                self.interrupted = tuple(OpenPart(*row) for row in rows)
                self._notes: dict[str, bytes] = dict(
                    connection.execute("SELECT name, content FROM notes")
                )
            except (sqlite3.Error, OSError) as error:
                connection.close()
                raise JournalUnusable(
                    f"cannot write the journal {path}: {error}", corrupt=False
                ) from error
            except InputError:
                connection.close()
                raise
        except InputError:
            self._lock.close()
            raise
        with suppress(OSError):
            os.ftruncate(self._lock.fileno(), 0)
            os.write(self._lock.fileno(), b"%d" % self.epoch)
        self._unanswered = {part.part_id for part in self.interrupted}
        self._next_seq = self.first_seq
        self._reserved = self.first_seq - 1 + BLOCK
        # Tickets must reach the ahead log and the writer in their order.
        self._submitting = threading.Lock()
        self._writer = JournalWriter(
            connection, self.epoch, self.first_seq - 1, retention or Retention(), self._ahead.save
        )

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
        fault = self._writer.fault
        if self._ahead.is_full(self._writer.committed):
            return f"{fault or 'the disk is too slow'}; what comes now is in memory alone"
        return fault

    @property
    def alive(self) -> bool:
        """Whether it is written; a defect may end that, and the next start loses nothing by it."""
        return self._writer.alive

    @property
    def lost(self) -> int:
        """Changes dropped because too many were waiting for a disk that took none."""
        return self._writer.lost

    @property
    def forgotten(self) -> int:
        """Verdicts removed for want of room before every client had acknowledged them."""
        return self._writer.forgotten

    def next_seq(self) -> int:
        """A sequence number, never handed out before."""
        if self._next_seq > self._reserved - BLOCK // 2:
            self._reserved += BLOCK
            self._submit(changes.reservation(self._reserved))
        self._next_seq += 1
        return self._next_seq - 1

    def open_part(self, part: OpenPart) -> int:
        """Remember a part until it is answered; returns a ticket for `is_durable`."""
        self._unanswered.add(part.part_id)
        ticket = self._submit(changes.opening(part), only_if_kept=True)
        if ticket == NEVER:
            self._unanswered.remove(part.part_id)
        return ticket

    def record(
        self,
        seq: int,
        topic: bytes,
        payload: bytes,
        answers: str | None = None,
        announce: Callable[[], None] | None = None,
    ) -> None:
        """Store a verdict; an open part that it `answers` is closed in the same commit.

        `announce` is called as soon as no end of this process can take the verdict away, or the
        ahead log has no room, and before the writing begins, which would be in its way.
        """
        if answers in self._unanswered:
            self._unanswered.remove(answers)
        else:
            answers = None
        change = changes.verdict(self.epoch, seq, topic.decode(), payload.decode(), answers)
        self._submit(change, announce)

    def record_late(self, seq: int, payload: bytes) -> None:
        """Store what was found too late on the part that verdict `seq` had answered."""
        self._submit(changes.late(self.epoch, seq, payload.decode()))

    def note(self, name: str, content: bytes) -> None:
        """Keep something for the next start, in place of what this name kept. For any thread.

        It is no verdict: what a killed process had not yet written is lost.
        """
        self._notes[name] = content
        self._submit(changes.note(name, content))

    def noted(self, name: str) -> bytes | None:
        """What was noted last under this name."""
        return self._notes.get(name)

    def acknowledge(self, client: str, epoch: int, seq: int, timeout_s: float) -> bool:
        """Store that a client is done up to (epoch, seq); never moves back. False: not in time."""
        ticket = self._submit(changes.acknowledgement(client, epoch, seq))
        return self._writer.wait(ticket, timeout_s)

    def is_durable(self, ticket: int) -> bool:
        """Whether what this ticket was given for is on the disk."""
        self._writer.noticed()
        return self._writer.committed >= ticket

    @property
    def descriptor(self) -> int:
        """Readable when something has become durable, until `is_durable` is asked."""
        return self._writer.descriptor

    def reader(self) -> JournalReader:
        """A connection for the calling thread to read with."""
        return JournalReader(self._path)

    def close(self) -> bool:
        """Write all that is queued and end; False when the disk did not take it."""
        if self._lock.closed:
            return True
        self._submit(changes.release(self.last_seq))
        done = self._writer.close(CLOSE_S)
        if not done:
            # A disk that hangs would hold up the end.
            saving = threading.Thread(target=self._ahead.save, name="last save", daemon=True)
            saving.start()
            saving.join(CLOSE_S)
        self._ahead.close()
        self._lock.close()
        return done

    def _submit(
        self,
        change: Change,
        announce: Callable[[], None] | None = None,
        *,
        only_if_kept: bool = False,
    ) -> int:
        """Queue a change and keep it ahead; its ticket, or NEVER for one that is lost."""
        with self._submitting:
            ticket = self._writer.next_ticket()
            kept = self._keep(ticket, change)
            if only_if_kept and not kept:
                return NEVER
            try:
                if announce is not None:
                    announce()
            finally:
                # The ahead log bounds how many of these there can be.
                submitted = self._writer.submit(ticket, change, certain=kept or change.vital)
            return ticket if submitted else NEVER

    def _keep(self, ticket: int, change: Change) -> bool:
        # Of each open part the verdict must find room, and the next reservation too.
        spare = VERDICT_BYTES * (len(self._unanswered) + (not change.vital))
        return any(
            self._ahead.add(
                Entry(self.epoch, ticket, content),
                self._writer.committed,
                spare,
                vital=change.vital,
            )
            for content in change.ahead
        )


def _begin_epoch(
    connection: sqlite3.Connection,
    left: list[Change],
    folder: Path | None,
    after: int,
    former: Former | None,
) -> tuple[int, int]:
    connection.execute("BEGIN IMMEDIATE")
    for change in left:
        for sql, values in change.statements:
            connection.execute(sql, values)
    if former is not None:
        former.copy_to(connection)
    if folder is not None:
        note_folder(connection, folder)
    (last,) = connection.execute("SELECT COALESCE(MAX(epoch), 0) FROM epochs").fetchone()
    (reserved,) = connection.execute("SELECT seq FROM reserved").fetchone()
    epoch = max(last + 1, after + 1, int(time.time()))
    connection.execute("INSERT INTO epochs VALUES (?, ?)", (epoch, reserved + 1))
    connection.execute("UPDATE reserved SET seq = ?", (reserved + BLOCK,))
    connection.execute("UPDATE committed SET epoch = ?, ticket = 0", (epoch,))
    connection.execute("COMMIT")
    return epoch, reserved + 1
