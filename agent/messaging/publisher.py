"""The publishing socket: verdicts, heartbeat and state, to whoever listens."""

from __future__ import annotations

import zmq

from agent.messaging.sockets import bind, open_socket


class Publisher:
    """An XPUB socket. Sending never waits: what a slow subscriber misses, it can replay."""

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str, welcome: bytes
    ) -> None:
        """Bind; each new subscriber gets the `welcome` topic once it is served.

        Raises:
            InputError: the endpoint is in use or cannot be bound.
        """
        self._socket = open_socket(context, zmq.XPUB)
        self._socket.set(zmq.XPUB_WELCOME_MSG, welcome)
        bind(self._socket, endpoint)

    def send(self, topic: bytes, payload: bytes) -> None:
        """Publish one message of two frames."""
        self._socket.send_multipart([topic, payload], zmq.NOBLOCK)

    def drain(self) -> None:
        """Forget the notices of new and ended subscriptions, which would pile up unread."""
        while self._socket.poll(0):
            self._socket.recv_multipart(zmq.NOBLOCK)

    def close(self) -> None:
        """Close; what was sent is still delivered, for as long as LINGER allows."""
        self._socket.close()
