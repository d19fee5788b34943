"""Connecting to a station, with a key where it asks for one."""

from __future__ import annotations

import zmq

from agent.keys import ClientKey
from agent.messaging.endpoint import check_endpoint
from agent.messaging.sockets import open_socket


def client_context() -> zmq.Context[zmq.Socket[bytes]]:
    """A context in which `connect` keeps the SUB socket apart from all others."""
    return zmq.Context(io_threads=2)


def connect(
    context: zmq.Context[zmq.Socket[bytes]],
    kind: int,
    endpoint: str,
    key: ClientKey | None,
    *,
    immediate: bool = False,
) -> zmq.Socket[bytes]:
    """A socket that is connected, or will be when the station is there.

    Args:
        context: the socket's; the caller ends it.
        kind: of socket; a SUB socket hears nothing until the caller subscribes.
        endpoint: the station's.
        key: of this client; None for a station without keys.
        immediate: while the station is away nothing can be sent, instead of waiting for it.

    Raises:
        InputError: the endpoint does not read tcp://HOST:PORT.
    """
    check_endpoint(endpoint)
    socket = open_socket(context, kind)
    if key is not None:
        socket.set(zmq.CURVE_SERVERKEY, key.station_key.encode())
        socket.set(zmq.CURVE_PUBLICKEY, key.public_key.encode())
        socket.set(zmq.CURVE_SECRETKEY, key.secret_key.get_secret_value().encode())
    # ZeroMQ looks at these when it connects. Its thread that looks up a name hears nothing until
    # it is found: seconds, where the name server is away.
    threads = context.get(zmq.IO_THREADS)
    socket.set(zmq.AFFINITY, 1 if kind == zmq.SUB else 1 << (threads - 1))
    socket.set(zmq.IMMEDIATE, immediate)
    socket.connect(endpoint)
    return socket
