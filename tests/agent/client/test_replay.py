"""The client's side of the replay endpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import zmq

from agent.client import Position, ReplayClient, ReplayUnavailable
from agent.client.replay import StationSnapshot
from agent.journal import EpochRange, Journal
from agent.messaging.door import Door
from agent.messaging.replay import ReplayServer
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


def test_an_acknowledgement_arrives(client: ReplayClient, journal: Journal) -> None:
    client.acknowledge("mes", Position(journal.epoch, journal.last_seq))
    reader = journal.reader()
    assert reader.acknowledged("mes") == (journal.epoch, journal.last_seq)
    reader.close()


def test_a_refusal_and_what_is_no_verdict_are_told(client: ReplayClient, journal: Journal) -> None:
    with pytest.raises(ReplayUnavailable, match="refuses"):
        client.acknowledge("mes", Position(journal.epoch + 1, 1))
    seq = journal.next_seq()
    journal.record(seq, b"v1/a/b/c/verdict/tiny/", b"{}")
    assert journal.acknowledge("settle", 1, 1, timeout_s=10)
    with pytest.raises(ReplayUnavailable, match="could not be read"):
        list(client.replay(journal.epoch, seq, seq))


def test_silence_is_told(context: zmq.Context, endpoint: Callable[[], str]) -> None:
    client = ReplayClient(context, endpoint(), timeout_s=0.05)
    with pytest.raises(ReplayUnavailable, match="does not answer"):
        client.snapshot()
    client.close()
