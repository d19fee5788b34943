"""A client says what it is done with, as often as it must and no more."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator

import pytest
import zmq

from agent.client.acknowledge import Acknowledger
from agent.client.position import Position

LIMIT_MS = 20_000


class Said:
    """Both ends: a client's acknowledger, and a station that answers when it is told to."""

    def __init__(self, context: zmq.Context, where: str) -> None:
        self.where = where
        self.station = context.socket(zmq.ROUTER)
        self.client = Acknowledger(context, where, "mes", None)

    def begin(self) -> None:
        self.station.bind(self.where)
        assert self.client._socket.poll(LIMIT_MS, zmq.POLLOUT)

    def hear(self) -> int:
        """The number that is acknowledged."""
        assert self.station.poll(LIMIT_MS)
        self.peer, request = self.station.recv_multipart()
        return int(json.loads(request)["seq"])

    def answer(self, content: bytes = b'{"op":"ack","seq":1}') -> None:
        self.station.send_multipart([self.peer, content])
        assert self.client._socket.poll(LIMIT_MS)


@pytest.fixture
def said(
    context: zmq.Context, endpoint: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Said]:
    monkeypatch.setattr("agent.client.acknowledge.EVERY_S", 0.0)
    said = Said(context, endpoint())
    yield said
    said.client.close()


def test_what_was_taken_is_not_said_again(said: Said) -> None:
    said.begin()
    said.client.done(Position(1, 1))
    assert said.hear() == 1
    said.answer()
    for seq in (1, 2):
        said.client.done(Position(1, seq))
    assert said.hear() == 2


def test_while_one_waits_for_its_answer_no_other_is_said(said: Said) -> None:
    """Answers do not name what they answer, and the station's disk is slow."""
    said.begin()
    for seq in (1, 2, 3):
        said.client.done(Position(1, seq))
    assert said.hear() == 1
    said.answer()
    said.client.done(Position(1, 4))
    assert said.hear() == 4


def test_what_was_lost_on_its_way_is_said_again(
    said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The station was restarted after the last part of the shift, and forgot it till Monday."""
    said.begin()
    said.client.done(Position(1, 7))
    assert said.hear() == 7
    monkeypatch.setattr("agent.client.acknowledge.LOST_S", 0.0)
    said.client.done(Position(1, 7))
    # A late answer to the first is not taken for the second's.
    said.station.send_multipart([said.peer, b'{"op":"ack","seq":7}'])
    monkeypatch.setattr("agent.client.acknowledge.LOST_S", 600.0)
    assert said.client._socket.poll(LIMIT_MS, zmq.POLLOUT)
    said.client.done(Position(1, 7))
    assert said.hear() == 7


def test_what_the_station_did_not_take_is_said_again(
    said: Said, caplog: pytest.LogCaptureFixture
) -> None:
    """Its disk was full when the last part of the shift was done with."""
    said.begin()
    said.client.done(Position(1, 7))
    assert said.hear() == 7
    said.answer(b'{"op":"error","reason":"ask later"}')
    said.client.done(Position(1, 7))
    assert said.hear() == 7
    assert [each.levelno for each in caplog.records] == [logging.WARNING]


def test_what_nobody_heard_is_said_when_the_station_is_back(said: Said) -> None:
    for seq in (6, 7):
        said.client.done(Position(1, seq))
    said.begin()
    said.client.done(Position(1, 7))
    assert said.hear() == 7, "one has waited for the station"


def test_it_is_said_no_more_often_than_is_asked_for(
    said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.client.acknowledge.EVERY_S", 600.0)
    said.begin()
    said.client.done(Position(1, 1))
    assert said.hear() == 1
    said.answer()
    said.client.done(Position(1, 2))
    monkeypatch.setattr(said.client, "_next_s", 0.0)  # some time later
    said.client.done(Position(1, 3))
    assert said.hear() == 3
