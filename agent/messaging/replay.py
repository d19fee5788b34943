"""The replay service: what a subscriber missed, from the journal."""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import TypeAdapter

from agent.journal import Journal, JournalReader
from agent.messaging.acknowledgements import Acknowledgements
from agent.messaging.door import Domain, Door
from agent.messaging.requests import (
    Acknowledge,
    Peer,
    PeerGone,
    Replay,
    ReplayRequest,
    RequestSocket,
    Snapshot,
)
from agent.states import State

log = logging.getLogger(__name__)

PAGE = 100
# Replays, and again acknowledgements, under way at once.
MAX_WAITING = 32
MAX_WAITING_OF_ONE = 8
IDLE_POLL_MS = 50
STALLED_POLL_MS = 5
STALLED_S = 10.0
# How long the end waits for a page of a journal whose disk hangs.
END_S = 5.0


@dataclass
class _Job:
    """A replay under way: `next` is the sequence number to go on from."""

    peer: Peer
    epoch: int
    next: int
    last: int
    moved_at: float
    count: int = 0


class ReplayServer:
    """Answers snapshot, replay and acknowledge, in a thread of its own.

    Replays take turns page by page, so a long one delays neither another nor, having its own
    thread and database connection, the line. A peer that reads nothing for STALLED_S is dropped.
    An acknowledgement is answered when it is stored, which a slow disk takes its time for.
    """

    def __init__(
        self,
        door: Door,
        endpoint: str,
        journal: Journal,
        state: Callable[[], State],
    ) -> None:
        """Bind and serve until `close`; `state` is called from the server's thread.

        Raises:
            InputError: the endpoint is in use or cannot be bound.
        """
        self._journal = journal
        self._state = state
        self._jobs: list[_Job] = []
        self._stop = threading.Event()
        requests: TypeAdapter[Any] = TypeAdapter(ReplayRequest)
        self._socket = RequestSocket(door, endpoint, Domain.REPLAY, requests)
        self._acknowledgements = Acknowledgements(self._socket, journal)
        self._thread = threading.Thread(target=self._serve, name="replay", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it serves; False after `close`, and after a defect, which is in the log."""
        return self._thread.is_alive()

    def close(self) -> None:
        """End the thread and close the socket; with a disk that hangs, they are left behind.

        The socket is then the door's to close, as the thread stands in the journal.
        """
        self._stop.set()
        self._thread.join(END_S)

    def _serve(self) -> None:
        reader = self._journal.reader()
        try:
            moved = False
            while not self._stop.is_set():
                idle = not (self._jobs or self._acknowledgements.peers)
                wait_ms = IDLE_POLL_MS if idle else 0 if moved else STALLED_POLL_MS
                try:
                    for peer, request in self._socket.receive(wait_ms):
                        self._answer(reader, peer, request)
                    self._acknowledgements.answer(reader)
                    moved = self._advance(reader)
                except sqlite3.Error as error:
                    # Whoever waits asks again; the next answer may be possible.
                    log.error("cannot read the journal for replay: %s", error)
                    self._jobs.clear()
                    self._acknowledgements.drop()
        except Exception:
            if not self._stop.is_set():  # else it was left behind, without a socket
                log.exception("the replay service has ended")
        finally:
            self._socket.close()
            reader.close()

    def _answer(self, reader: JournalReader, peer: Peer, request: Any) -> None:
        if isinstance(request, Snapshot):
            self._socket.reply(peer, self._snapshot(reader, request))
        elif isinstance(request, Acknowledge):
            if self._admits(peer, self._acknowledgements.peers):
                self._acknowledgements.take(peer, request)
        elif isinstance(request, Replay) and self._admits(peer, [job.peer for job in self._jobs]):
            self._jobs.append(
                _Job(peer, request.epoch, request.first, request.last, time.monotonic())
            )

    def _admits(self, peer: Peer, waiting: list[Peer]) -> bool:
        """Whether a peer's request may join those that wait; it is answered here if not."""
        of_one = sum(other.asker == peer.asker for other in waiting)
        admitted = len(waiting) < MAX_WAITING and of_one < MAX_WAITING_OF_ONE
        if not admitted:
            self._socket.reply_error(peer, "too many requests under way: ask later")
        return admitted

    def _snapshot(self, reader: JournalReader, request: Snapshot) -> dict[str, Any]:
        # Before the list: a client takes what is durable and not listed for lost.
        durable_seq = self._journal.durable_seq
        epochs, more = reader.epochs(request.since)
        content: dict[str, Any] = {
            "op": "snapshot",
            "epoch": self._journal.epoch,
            "first_seq": self._journal.first_seq,
            "durable_seq": durable_seq,
            "state": self._state().value,
            "epochs": [asdict(epoch) for epoch in epochs],
            "more": more,
        }
        if request.client is not None:
            position = reader.acknowledged(request.client)
            content["acknowledged"] = position and {"epoch": position[0], "seq": position[1]}
        return content

    def _advance(self, reader: JournalReader) -> bool:
        """Send a page of the first replay of every peer; False when no peer took anything."""
        moved = False
        busy: set[bytes] = set()
        for job in list(self._jobs):
            if job.peer.envelope[0] in busy:
                continue  # a peer's replays follow each other
            busy.add(job.peer.envelope[0])
            before = (job.next, job.count)
            try:
                finished = self._send_page(reader, job)
            except PeerGone:
                finished = True
            if finished or (job.next, job.count) != before:
                job.moved_at = time.monotonic()
                moved = True
            elif time.monotonic() - job.moved_at > STALLED_S:
                log.warning("dropped a replay to a peer that does not read")
                finished = True
            if finished:
                self._jobs.remove(job)
        return moved

    def _send_page(self, reader: JournalReader, job: _Job) -> bool:
        """Send what the peer takes of the next page; True when the replay is complete."""
        page = reader.page(job.epoch, job.next, job.last, PAGE)
        for stored in page:
            if not self._socket.send(job.peer, [stored.topic, stored.payload]):
                return False
            job.next = stored.seq + 1
            job.count += 1
        if len(page) == PAGE:
            return False
        end = {"op": "end", "epoch": job.epoch, "count": job.count}
        return self._socket.send(job.peer, [json.dumps(end).encode()])
