"""Telling a station what its client is done with."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict
from functools import partial

import zmq

from agent.client.connection import connect
from agent.client.position import Position
from agent.keys import ClientKey

log = logging.getLogger(__name__)

EVERY_S = 1.0
# The station answers when the disk has it, and by then at the latest that it has not.
LOST_S = 10.0


class Acknowledger:
    """Acknowledges at most once a second, and never waits: a later one says all of an earlier.

    One is under way at a time; one that is not answered is lost, and made again on a new socket.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoint: str,
        client: str,
        key: ClientKey | None,
    ) -> None:
        self._client = client
        # While the station is away, none pile up.
        self._connect = partial(connect, context, zmq.DEALER, endpoint, key, immediate=True)
        self._socket = self._connect()
        self._next_s = self._said_s = time.monotonic()
        self._said: Position | None = None  # under way
        self._taken: Position | None = None

    def done(self, position: Position) -> None:
        """The client has dealt with all up to a position."""
        self._hear()
        now_s = time.monotonic()
        if self._said is not None:
            if now_s - self._said_s < LOST_S:
                return
            log.warning("the station does not answer an acknowledgement: it is made again")
            self._socket.close(linger=0)
            self._socket, self._said = self._connect(), None
        if position == self._taken or now_s < self._next_s:
            return
        request = {"op": "ack", "client": self._client, **asdict(position)}
        try:
            self._socket.send_json(request, zmq.NOBLOCK)
        except zmq.Again:
            return
        self._said, self._said_s = position, now_s
        self._next_s = now_s + EVERY_S

    def _hear(self) -> None:
        while self._socket.poll(0):
            answer = self._socket.recv()
            if b'"error"' in answer:
                log.warning("the station does not take the acknowledgement: %s", answer)
            else:
                self._taken = self._said
            self._said = None

    def close(self) -> None:
        """Close; what was not sent yet is dropped."""
        self._socket.close(linger=0)
