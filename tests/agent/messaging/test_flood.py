"""A peer that floods a ROUTER holds up neither its owner nor others, and all of it is counted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zmq
from pydantic import TypeAdapter

from agent.messaging.door import Domain, Door
from agent.messaging.requests import TURN_S, Command, RequestSocket

LIMIT_S = 30.0


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
