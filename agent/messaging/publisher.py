"""The publishing socket: verdicts, heartbeat and state, to whoever listens."""

from __future__ import annotations

import time

import zmq

from agent.messaging.door import Domain, Door
from agent.messaging.topics import ROOT

# Of every turn of the line: a peer that floods does not keep it from its frames.
DRAIN_S = 0.001
LONGEST_TOPIC = 512


class Publisher:
    """An XPUB socket. Sending never waits: what a slow subscriber misses, it can replay."""

    def __init__(self, door: Door, endpoint: str, welcome: bytes) -> None:
        """Bind; each new subscriber gets the `welcome` topic once it is served.

        Raises:
            InputError: the endpoint is in use or cannot be bound.
        """
        self._listener = door.open(
            zmq.XPUB, endpoint, Domain.VERDICTS, {zmq.XPUB_WELCOME_MSG: welcome}
        )
        self._socket = self._listener.socket

    def send(self, topic: bytes, payload: bytes) -> None:
        """Publish one message of two frames."""
        self._socket.send_multipart([topic, payload], zmq.NOBLOCK)

    def drain(self) -> None:
        """Take in the notices of new and ended subscriptions, which would pile up unread.

        What is no notice, or asks for a topic that no station has, is counted as malformed.
        """
        self._listener.renew()
        until_s = time.monotonic() + DRAIN_S
        try:
            while time.monotonic() < until_s:
                notice = self._socket.recv(zmq.NOBLOCK)
                self._listener.malformed += not _is_subscription(notice)
        except zmq.Again:
            return

    def close(self) -> None:
        """Close; what was sent is still delivered, for as long as LINGER allows."""
        self._listener.close()


def _is_subscription(notice: bytes) -> bool:
    if notice[:1] == b"\0":  # the end of one; whatever it was, it was counted when it began
        return True
    topic = notice[1:]
    known = topic.startswith(ROOT) if len(topic) >= len(ROOT) else ROOT.startswith(topic)
    return notice[:1] == b"\1" and len(topic) <= LONGEST_TOPIC and known
