"""Sockets that survive bad peers and a hasty end."""

from __future__ import annotations

import errno

import zmq

from agent.errors import InputError

# A request is a few hundred bytes, a verdict with all its regions a few thousand.
MAX_MESSAGE_BYTES = 64 * 1024
# Messages kept for a peer that does not read: some minutes of a fast line.
HIGH_WATER_MARK = 10_000
# Requests that a peer may pile up before it is held back: more than any queue of triggers.
REQUESTS_WAITING = 100
# Towards a peer that has sent more than is read at the moment, ZeroMQ is deaf for a while, also
# for its answers to heartbeats. It would lose what it has sent, were it sent away for that.
PEER_TIMEOUT_MS = 30_000
OPTIONS = {
    zmq.LINGER: 500,
    zmq.MAXMSGSIZE: MAX_MESSAGE_BYTES,
    zmq.SNDHWM: HIGH_WATER_MARK,
    zmq.RCVHWM: HIGH_WATER_MARK,
    zmq.HANDSHAKE_IVL: 2000,
    zmq.HEARTBEAT_IVL: 1000,
    zmq.HEARTBEAT_TIMEOUT: 3000,
    zmq.TCP_KEEPALIVE: 1,
    zmq.TCP_KEEPALIVE_IDLE: 30,
    zmq.TCP_KEEPALIVE_INTVL: 10,
    zmq.RECONNECT_IVL: 100,
    zmq.RECONNECT_IVL_MAX: 500,
    zmq.IPV6: 1,
}


def open_socket(context: zmq.Context[zmq.Socket[bytes]], kind: int) -> zmq.Socket[bytes]:
    """A socket with every limit set that ZeroMQ leaves open."""
    socket = context.socket(kind)
    for option, value in OPTIONS.items():
        socket.set(option, value)
    return socket


def bind(socket: zmq.Socket[bytes], endpoint: str) -> None:
    """Bind a socket.

    Raises:
        InputError: names the endpoint, and what is in the way.
    """
    try:
        socket.bind(endpoint)
    except zmq.ZMQError as error:
        if error.errno == errno.EADDRINUSE:
            raise InputError(
                f"{endpoint} is in use: another station or program has it; "
                "end that one or give another endpoint"
            ) from error
        raise InputError(f"cannot listen on {endpoint}: {error.strerror}") from error
