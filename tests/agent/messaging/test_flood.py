"""A peer that floods a ROUTER holds up neither its owner nor others, and all of it is counted."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import zmq
from pydantic import TypeAdapter

from agent.messaging.door import Domain, Door
from agent.messaging.requests import TURN_S, Command, RequestSocket

LIMIT_S = 30.0
# What a DEALER says first in ZMTP 3, without security.
GREETING = b"\xff" + b"\0" * 8 + b"\x7f\3\0" + b"NULL".ljust(20, b"\0") + b"\0" * 32
READY = b"\4\x1c\5READY\x0bSocket-Type\0\0\0\6DEALER"
# Empty frames, each of which says that another one follows.
MORE = b"\1\0" * 10_000


@pytest.fixture
def address(endpoint: Callable[[], str]) -> str:
    return endpoint()


@pytest.fixture
def desk(door: Door, address: str) -> Iterator[RequestSocket]:
    commands: TypeAdapter[Any] = TypeAdapter(Command)
    desk = RequestSocket(door, address, Domain.COMMANDS, commands)
    yield desk
    desk.close()


def peer(context: zmq.Context, address: str) -> zmq.Socket:
    socket = context.socket(zmq.DEALER)
    socket.connect(address)
    return socket


def serve(desk: RequestSocket, reached: Callable[[], bool], asked: list[Any]) -> None:
    """Read, until something is reached, what is asked."""
    end_s = time.monotonic() + LIMIT_S
    while not reached():
        assert time.monotonic() < end_s, "not reached"
        asked.extend(request for _, request in desk.receive(10))


def test_a_message_of_very_many_frames_is_one_malformed_message(
    context: zmq.Context, door: Door, desk: RequestSocket, address: str
) -> None:
    flooder, good = peer(context, address), peer(context, address)
    flooder.send_multipart([b'{"op":"stop"}'] * 50_000)
    flooder.send(b'{"op":"state"}')
    good.send(b'{"op":"state"}')
    asked: list[Any] = []
    serve(desk, lambda: len(asked) == 2, asked)
    assert [request.op for request in asked] == ["state", "state"]
    assert door.malformed == 1


def test_after_a_flood_requests_wait_for_a_moment(
    context: zmq.Context, door: Door, desk: RequestSocket, address: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    flooder = peer(context, address)
    for _ in range(100):
        flooder.send(b"nonsense")
    monkeypatch.setattr("agent.messaging.requests.TURN_S", 0.0)  # each message is one too many
    serve(desk, lambda: desk.rest_s > 0, [])
    assert list(desk.receive(0)) == []
    monkeypatch.setattr("agent.messaging.requests.TURN_S", TURN_S)
    serve(desk, lambda: door.malformed == 100, [])
    assert desk.rest_s == 0


def in_use() -> int:
    _, resident, shared, *_ = map(int, Path("/proc/self/statm").read_text().split())
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE")


def test_a_message_without_end_ends_its_connection_before_memory_does(
    context: zmq.Context, door: Door, desk: RequestSocket, address: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Nothing of it ever comes to the station's hands, so no count of messages can stop it."""
    monkeypatch.setattr("agent.messaging.memory.MARGIN", 30_000_000)
    before = in_use()
    flooder = socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])))

    def flood() -> None:
        flooder.sendall(GREETING + READY)
        heard = b""
        while b"READY" not in heard:  # what is said earlier ends the handshake
            heard += flooder.recv(1000)
        with suppress(ConnectionError):
            while True:
                flooder.sendall(MORE)

    thread = threading.Thread(target=flood, daemon=True)
    thread.start()
    serve(desk, lambda: not thread.is_alive(), [])
    assert door.renewals >= 1
    # What it filled is free, and the others are served.
    serve(desk, lambda: in_use() - before < 30_000_000, [])
    good = peer(context, address)
    good.send(b'{"op":"state"}')
    asked: list[Any] = []
    serve(desk, lambda: bool(asked), asked)
    assert [request.op for request in asked] == ["state"]
    flooder.close()
