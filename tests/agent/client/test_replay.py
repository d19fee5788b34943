"""The client's side of the replay endpoint."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator

import pytest
import zmq

from agent.client import Position, ReplayClient, ReplayUnavailable
from agent.client.replay import PAGE, StationSnapshot
from agent.journal import EpochRange, Journal
from agent.messaging.door import Door
from agent.messaging.replay import ReplayServer
from agent.messaging.sockets import HIGH_WATER_MARK
from agent.states import State
from tests.agent.factories import make_verdict

SNAPSHOT = StationSnapshot(
    epoch=30,
    first_seq=300,
    durable_seq=309,
    state=State.READY,
    epochs=[EpochRange(10, 100, 109), EpochRange(20, 200, 209), EpochRange(30, 300, 309)],
)


@pytest.mark.parametrize(
    ("position", "missing"),
    [
        # nothing seen: all that is kept
        (Position(0, 0), [(10, 100, 109), (20, 200, 209), (30, 300, 309)]),
        # in the middle, and at the end, of an epoch
        (Position(20, 204), [(20, 205, 209), (30, 300, 309)]),
        (Position(20, 209), [(30, 300, 309)]),
        # so far behind that the beginning is no longer kept
        (Position(10, 50), [(10, 100, 109), (20, 200, 209), (30, 300, 309)]),
        # of an epoch that is no longer kept at all
        (Position(15, 7), [(20, 200, 209), (30, 300, 309)]),
        # up to date
        (Position(30, 309), []),
        (Position(40, 1), []),
    ],
)
def test_what_is_missing_follows_from_the_position(
    position: Position, missing: list[tuple[int, int, int]]
) -> None:
    assert SNAPSHOT.missing(position) == [EpochRange(*each) for each in missing]


@pytest.fixture
def client(
    context: zmq.Context, door: Door, endpoint: Callable[[], str], journal: Journal
) -> Iterator[ReplayClient]:
    where = endpoint()
    server = ReplayServer(door, where, journal, lambda: State.READY)
    client = ReplayClient(context, where, timeout_s=5)
    yield client
    client.close()
    server.close()


def test_verdicts_come_back_as_they_were(client: ReplayClient, journal: Journal) -> None:
    given = [make_verdict(journal.epoch, journal.next_seq()) for _ in range(3)]
    for verdict in given:
        journal.record(verdict.seq, b"v1/a/b/c/verdict/tiny/", verdict.to_json())
    assert journal.acknowledge("settle", 1, 1, timeout_s=10)
    stored = client.snapshot().epochs[0]
    assert list(client.replay(stored.epoch, stored.first_seq, stored.last_seq)) == given


def test_a_refusal_is_told(client: ReplayClient) -> None:
    with pytest.raises(ReplayUnavailable, match="refuses"):
        client.snapshot("")


def test_what_is_no_verdict_is_told_and_passed_over(
    client: ReplayClient, journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    verdict = make_verdict(journal.epoch, journal.next_seq())
    journal.record(verdict.seq, b"v1/a/b/c/verdict/tiny/", verdict.to_json())
    journal.record(journal.next_seq(), b"v1/a/b/c/verdict/tiny/", b"{}")
    assert journal.acknowledge("settle", 1, 1, timeout_s=10)
    assert list(client.replay(journal.epoch, verdict.seq, verdict.seq + 1)) == [verdict]
    assert "a message cannot be read" in caplog.text


def test_silence_is_told(context: zmq.Context, endpoint: Callable[[], str]) -> None:
    client = ReplayClient(context, endpoint(), timeout_s=0.05)
    with pytest.raises(ReplayUnavailable, match="does not answer"):
        client.snapshot()
    client.close()


@pytest.mark.parametrize(
    ("answer", "told"),
    [(b"not json", "is not JSON"), (b"[" * 10_000, "is not JSON"), (b"[]", "refuses")],
    ids=["no JSON", "deep", "a list"],
)
def test_an_answer_that_no_station_gives_is_told(
    context: zmq.Context, endpoint: Callable[[], str], answer: bytes, told: str
) -> None:
    """Another program is at that port: it must not end the client."""
    where = endpoint()
    other = context.socket(zmq.ROUTER)
    other.bind(where)
    client = ReplayClient(context, where, timeout_s=20)
    client._send({"op": "snapshot"})
    peer, _ = other.recv_multipart()
    other.send_multipart([peer, answer])
    with pytest.raises(ReplayUnavailable, match=told):
        client._receive()
    client.close()
    other.close()


def test_a_long_replay_is_asked_for_page_by_page(
    context: zmq.Context, endpoint: Callable[[], str]
) -> None:
    """Were all of it under way at once, a client that reads slowly would be aborted by libzmq."""
    where, last = endpoint(), 2 * PAGE + 7
    asked: list[tuple[int, int]] = []
    station = context.socket(zmq.ROUTER)
    station.bind(where)

    def answer() -> None:
        while sum(to - first + 1 for first, to in asked) < last:
            peer, body = station.recv_multipart()
            request = json.loads(body)
            asked.append((request["from"], request["to"]))
            for seq in range(request["from"], request["to"] + 1):
                station.send_multipart([peer, b"topic", make_verdict(1, seq).to_json()])
            station.send_multipart([peer, b'{"op":"end"}'])

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    client = ReplayClient(context, where, 10.0)
    assert [verdict.seq for verdict in client.replay(1, 1, last)] == list(range(1, last + 1))
    thread.join(10)
    client.close()
    station.close()
    assert asked == [(1, PAGE), (PAGE + 1, 2 * PAGE), (2 * PAGE + 1, last)]
    assert PAGE < HIGH_WATER_MARK / 2
