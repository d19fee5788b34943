"""A station to subscribe to: the real publisher, journal and replay service without a line.

A verdict that is stored and not published is one that the network has dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import zmq

from agent.client import Event, Gap, Subscriber
from agent.journal import Journal
from agent.messaging.door import Door
from agent.messaging.publisher import Publisher
from agent.messaging.replay import ReplayServer
from agent.messaging.topics import Address
from agent.states import State
from agent.verdict import Verdict
from tests.agent.factories import make_heartbeat, make_verdict

ADDRESS = Address("a", "b", "c")
TOPIC = ADDRESS.verdict("tiny")


class Station:
    """Publishes and stores verdicts, or only one of the two."""

    def __init__(self, journal_path: Path, verdicts: str, replay: str) -> None:
        self.context: zmq.Context = zmq.Context()
        self.journal = Journal(journal_path)
        self.door = Door(self.context, None)
        self.publisher = Publisher(self.door, verdicts, ADDRESS.welcome)
        self.replay = ReplayServer(self.door, replay, self.journal, lambda: State.READY)
        self.unstored: list[tuple[int, bytes]] = []

    def give(self, count: int = 1, *, publish: bool = True, store: bool = True) -> list[int]:
        seqs = []
        for _ in range(count):
            seq = self.journal.next_seq()
            payload = make_verdict(self.journal.epoch, seq).to_json()
            if publish:
                self.publisher.send(TOPIC, payload)
            if store:
                self.journal.record(seq, TOPIC, payload)
            else:
                self.unstored.append((seq, payload))
            seqs.append(seq)
        return seqs

    def store_newer(self, count: int = 1) -> list[int]:
        """Verdicts as a later normline may store them."""
        seqs = [self.journal.next_seq() for _ in range(count)]
        for seq in seqs:
            newer = make_verdict(self.journal.epoch, seq).to_json()[:-1] + b',"newer":1}'
            self.journal.record(seq, TOPIC, newer)
        return seqs

    def store_the_rest(self) -> None:
        for seq, payload in self.unstored:
            self.journal.record(seq, TOPIC, payload)

    def beat(self) -> None:
        beat = make_heartbeat(
            epoch=self.journal.epoch,
            first_seq=self.journal.first_seq,
            last_seq=self.journal.last_seq,
            durable_seq=self.journal.durable_seq,
        )
        self.publisher.send(ADDRESS.heartbeat, beat.to_json())

    def close(self) -> None:
        self.replay.close()
        self.publisher.close()
        self.door.close()
        self.context.destroy(linger=500)
        self.journal.close()


Start = Callable[[], Station]


def listen(station: Station, subscriber: Subscriber) -> Event:
    """The first event, once the subscriber hears the station."""
    for _ in range(100):
        station.beat()
        event = subscriber.receive(0.1)
        if event is not None:
            return event
    pytest.fail("the station is not heard")


def seen(subscriber: Subscriber, count: int) -> list[int | Gap]:
    """The next verdicts by their numbers, and gaps; heartbeats aside."""
    found: list[int | Gap] = []
    while len(found) < count:
        event: Event | None = subscriber.receive(5.0)
        assert event is not None, f"silence after {found}"
        if isinstance(event, Verdict):
            found.append(event.seq)
        elif isinstance(event, Gap):
            found.append(event)
    return found


def seen_while_beating(station: Station, subscriber: Subscriber, count: int) -> list[int]:
    """The next verdicts by their numbers, from before the station is heard."""
    found: list[int] = []
    for _ in range(100):
        station.beat()
        event = subscriber.receive(0.1)
        if isinstance(event, Verdict):
            found.append(event.seq)
            return found + [each for each in seen(subscriber, count - 1) if isinstance(each, int)]
        assert not isinstance(event, Gap)
    pytest.fail("the station is not heard")
