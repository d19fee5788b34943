"""Acknowledgements, each answered when it is stored."""

from __future__ import annotations

import time
from dataclasses import dataclass

from agent.journal import Journal, JournalReader
from agent.messaging.door import ANYONE
from agent.messaging.requests import Acknowledge, Peer, RequestSocket

# More than a commit takes for which the journal does not call its disk faulty.
LONGEST_WAIT_S = 10.0
REFUSED = "the journal cannot be written at the moment: ask later"


@dataclass(frozen=True)
class _Held:
    """An answer that waits until the journal has what it says."""

    peer: Peer
    request: Acknowledge
    until_s: float


class Acknowledgements:
    """Takes them to the journal; nobody waits for the disk but the peer that has asked.

    For one thread.
    """

    def __init__(self, socket: RequestSocket, journal: Journal) -> None:
        self._socket = socket
        self._journal = journal
        self._held: list[_Held] = []

    @property
    def peers(self) -> list[Peer]:
        """Whose acknowledgements are not answered yet."""
        return [held.peer for held in self._held]

    def take(self, peer: Peer, request: Acknowledge) -> None:
        """Answer what is wrong or cannot be stored; the rest when it has been."""
        if peer.client is not ANYONE and request.client != peer.client.name:
            reason = f"{peer.client.name} cannot acknowledge for {request.client}"
            self._socket.reply_error(peer, reason)
            return
        published = (self._journal.epoch, self._journal.last_seq)
        if (request.epoch, request.seq) > published:
            reason = f"nothing is published yet beyond epoch, seq {published}"
            self._socket.reply_error(peer, reason)
            return
        # Not to a disk that is known to take nothing: they would pile up.
        if self._journal.fault is not None:
            self._socket.reply_error(peer, REFUSED)
            return
        self._journal.acknowledge(request.client, request.epoch, request.seq, timeout_s=0)
        self._held.append(_Held(peer, request, time.monotonic() + LONGEST_WAIT_S))

    def answer(self, reader: JournalReader) -> None:
        """Answer what has been stored meanwhile, and what has waited for too long.

        Raises:
            sqlite3.Error: the journal cannot be read.
        """
        waiting = []
        for held in self._held:
            request = held.request
            stored = reader.acknowledged(request.client)
            # What is read is durable: SQLite shows a commit when it is on the disk.
            if stored is not None and stored >= (request.epoch, request.seq):
                self._socket.reply(held.peer, {"op": "ack", "seq": request.seq})
            elif self._journal.fault is not None or time.monotonic() > held.until_s:
                self._socket.reply_error(held.peer, REFUSED)
            else:
                waiting.append(held)
        self._held = waiting

    def drop(self) -> None:
        """Answer none of those that wait."""
        self._held.clear()
