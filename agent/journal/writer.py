"""The thread that writes the journal: changes in, group commits out."""

from __future__ import annotations

import logging
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from agent.journal.changes import Change
from agent.journal.retention import Retention

log = logging.getLogger(__name__)

BATCH = 1000
BACKLOG = 100_000
RETRY_S = 1.0
# A commit is up to three flushes, and an SD card that tidies up takes a second or two for one.
SLOW_S = 5.0
ENDED = "its writer has ended: see the log"


class JournalWriter:
    """Commits changes in the order of their submission, as many at once as are waiting.

    When the disk is full or gone, the batch is tried again until it succeeds; meanwhile up to
    BACKLOG changes wait, and what comes on top of them is counted as lost, unless it must be
    written in any case. Callers never wait.

    Attributes:
        descriptor: readable after a commit, until somebody calls `noticed`.
        lost: changes dropped because too many were waiting.
        forgotten: verdicts removed for want of room before every client had acknowledged them.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        epoch: int,
        durable_seq: int,
        retention: Retention,
        on_failure: Callable[[], None],
    ) -> None:
        """Take over the connection.

        Args:
            durable_seq: what counts as durable from the start.
            on_failure: called by the writer's thread after each commit that has failed.
        """
        self._connection = connection
        self._epoch = epoch
        self._retention = retention
        self._on_failure = on_failure
        self._queue: queue.SimpleQueue[tuple[int, Change] | None] = queue.SimpleQueue()
        self._tickets = 0
        self._committed = 0
        # The first commit forgets too: a line that is switched off each evening may not get so far.
        self._since_retention = BATCH
        self._begun_s: float | None = None
        self._error: str | None = None
        self._progress = threading.Condition()
        self._closing = threading.Event()
        self.descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.durable_seq = durable_seq
        self.lost = 0
        self.forgotten = 0
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    @property
    def committed(self) -> int:
        """The last ticket whose change is on the disk."""
        return self._committed

    @property
    def fault(self) -> str | None:
        """Why nothing can be written at the moment; None when all is well. For any thread.

        A disk that hangs gives no error: it is one that has kept a commit for SLOW_S.
        """
        error, begun_s = self._error, self._begun_s
        if error is not None or begun_s is None:
            return error
        held_s = time.monotonic() - begun_s
        return f"the disk has taken nothing for {held_s:.0f} s" if held_s >= SLOW_S else None

    @property
    def alive(self) -> bool:
        """Whether it writes; False after `close`, and after a defect, which is in the log."""
        return self._thread.is_alive()

    def next_ticket(self) -> int:
        """A ticket to submit a change under; they are submitted in order."""
        with self._progress:
            self._tickets += 1
            return self._tickets

    def submit(self, ticket: int, change: Change, *, certain: bool = False) -> bool:
        """Queue a change; False: too many wait, and it is lost, unless it is `certain`."""
        if not certain and self._queue.qsize() >= BACKLOG:
            self.lost += 1
            return False
        self._queue.put((ticket, change))
        return True

    def wait(self, ticket: int, timeout_s: float) -> bool:
        """Wait until the change is committed; False when it took longer."""
        with self._progress:
            return self._progress.wait_for(lambda: self._committed >= ticket, timeout_s)

    def noticed(self) -> None:
        """Somebody has seen all commits up to now."""
        with suppress(BlockingIOError):
            os.eventfd_read(self.descriptor)

    def close(self, timeout_s: float) -> bool:
        """Commit what is queued and end; False when not all of it could be committed."""
        self._queue.put(None)
        self._closing.set()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            return False
        self._connection.close()
        os.close(self.descriptor)
        return self.fault is None and self.lost == 0

    def _run(self) -> None:
        try:
            self._write()
        except Exception:
            self._error = ENDED
            log.exception("the journal can be written no more")

    def _write(self) -> None:
        while (batch := self._next_batch()) is not None:
            while not self._commit(batch):
                self._on_failure()
                if self._closing.wait(RETRY_S):
                    log.error("ended with %d changes unwritten: %s", len(batch), self.fault)
                    return

    def _next_batch(self) -> list[tuple[int, Change]] | None:
        entry = self._queue.get()
        batch = []
        while entry is not None:
            batch.append(entry)
            if len(batch) == BATCH:
                return batch
            try:
                entry = self._queue.get_nowait()
            except queue.Empty:
                return batch
        if batch:
            self._queue.put(None)  # the end comes after this last batch
            return batch
        return None

    def _commit(self, batch: list[tuple[int, Change]]) -> bool:
        ticket = batch[-1][0]
        verdicts = [change.seq for _, change in batch if change.seq is not None]
        since_retention = self._since_retention + len(verdicts)
        forgotten = 0
        self._begun_s = time.monotonic()
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for _, change in batch:
                for sql, values in change.statements:
                    self._connection.execute(sql, values)
            self._connection.execute(
                "UPDATE committed SET epoch = ?, ticket = ?", (self._epoch, ticket)
            )
            if since_retention >= BATCH:
                # Twice as many as came, at most: it never takes long.
                forgotten = self._retention.apply(self._connection, 2 * since_retention)
                since_retention = 0
            self._connection.execute("COMMIT")
        except (sqlite3.Error, MemoryError) as error:
            before, self._error = self._error, str(error) or type(error).__name__
            # Where it fails, so does the next try's BEGIN, and it comes here again.
            with suppress(sqlite3.Error, MemoryError):
                self._connection.rollback()
            if before is None:
                log.error("cannot write the journal, trying again: %s", self._error)
            return False
        if (fault := self.fault) is not None:
            log.info("the journal is written again, after: %s", fault)
        if forgotten:
            log.warning("removed %d verdicts that not every client has acknowledged", forgotten)
        with self._progress:
            self._error = self._begun_s = None
            self._since_retention = since_retention
            self.forgotten += forgotten
            self._committed = ticket
            self.durable_seq = max(verdicts, default=self.durable_seq)
            self._progress.notify_all()
        os.eventfd_write(self.descriptor, 1)
        return True
