"""Telling a station what its client is done with."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict

import zmq

from agent.client.connection import connect
from agent.client.position import Position
from agent.keys import ClientKey

log = logging.getLogger(__name__)

EVERY_S = 1.0


class Acknowledger:
    """Acknowledges at most once a second, and never waits: a later one says all of an earlier."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoint: str,
        client: str,
        key: ClientKey | None,
    ) -> None:
        self._client = client
        # While the station is away, none pile up.
        self._socket = connect(context, zmq.DEALER, endpoint, key, immediate=True)
        self._next_s = time.monotonic()
        self._said: Position | None = None

    def done(self, position: Position) -> None:
        """The client has dealt with all up to a position."""
        while self._socket.poll(0):
            answer = self._socket.recv()
            if b'"error"' in answer:
                log.warning("the station does not take the acknowledgement: %s", answer)
                self._said = None
        if position == self._said or time.monotonic() < self._next_s:
            return
        request = {"op": "ack", "client": self._client, **asdict(position)}
        try:
            self._socket.send_json(request, zmq.NOBLOCK)
        except zmq.Again:
            return
        self._said = position
        self._next_s = time.monotonic() + EVERY_S

    def close(self) -> None:
        """Close; what was not sent yet is dropped."""
        self._socket.close(linger=0)
