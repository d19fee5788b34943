"""Whatever the network drops, a subscriber delivers each verdict once and in order, or a gap.

The station here is the real publisher, journal and replay service without a line behind them; a
verdict that is stored and not published is one that the network has dropped.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq

from agent.client import Event, Gap, Position, Silence, Subscriber
from agent.client.position import read_position
from agent.errors import InputError
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
# For what happens within a moment, on a busy machine too.
LIMIT_S = 20.0


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


@pytest.fixture
def endpoints(endpoint: Callable[[], str]) -> tuple[str, str]:
    return endpoint(), endpoint()


@pytest.fixture
def start(tmp_path: Path, endpoints: tuple[str, str]) -> Iterator[Start]:
    """Starts the station, again after the one before has ended."""
    running: list[Station] = []

    def start() -> Station:
        while running:
            running.pop().close()
        running.append(Station(tmp_path / "journal.db", *endpoints))
        return running[-1]

    yield start
    while running:
        running.pop().close()


def listen(station: Station, subscriber: Subscriber) -> None:
    """Wait until the subscriber hears the station."""
    for _ in range(100):
        station.beat()
        if subscriber.receive(0.1) is not None:
            return
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


def test_every_verdict_arrives_once_and_in_order(start: Start, endpoints: tuple[str, str]) -> None:
    station = start()
    with Subscriber(*endpoints) as subscriber:
        listen(station, subscriber)
        given = station.give(200)
        assert seen(subscriber, 200) == given
        assert subscriber.position == Position(station.journal.epoch, given[-1])
        assert subscriber.missed == 0


def test_what_was_dropped_is_filled_in_from_the_journal(
    start: Start, endpoints: tuple[str, str]
) -> None:
    station = start()
    with Subscriber(*endpoints) as subscriber:
        listen(station, subscriber)
        given = station.give(3) + station.give(50, publish=False) + station.give(3)
        assert seen(subscriber, 56) == given
        assert subscriber.missed == 0


def test_a_lost_tail_is_revealed_by_the_heartbeat(start: Start, endpoints: tuple[str, str]) -> None:
    station = start()
    with Subscriber(*endpoints) as subscriber:
        listen(station, subscriber)
        given = station.give(4, publish=False)
        station.beat()
        assert seen(subscriber, 4) == given


def test_without_replay_what_was_dropped_is_a_gap(start: Start, endpoints: tuple[str, str]) -> None:
    station = start()
    with Subscriber(endpoints[0]) as subscriber:
        listen(station, subscriber)
        before, dropped = station.give(1), station.give(5, publish=False)
        after = station.give(1)
        gap = Gap(station.journal.epoch, dropped[0], dropped[-1])
        assert seen(subscriber, 3) == [*before, gap, *after]
        assert subscriber.missed == gap.count == 5


def test_what_the_journal_lost_too_is_a_gap(start: Start, endpoints: tuple[str, str]) -> None:
    station = start()
    with Subscriber(*endpoints) as subscriber:
        listen(station, subscriber)
        before = station.give(1)
        lost = station.give(2, publish=False, store=False)
        after = station.give(1)
        gap = Gap(station.journal.epoch, lost[0], lost[-1])
        assert seen(subscriber, 3) == [*before, gap, *after]


def test_a_verdict_that_is_not_stored_yet_is_waited_for(
    start: Start, endpoints: tuple[str, str]
) -> None:
    station = start()
    with Subscriber(*endpoints) as subscriber:
        listen(station, subscriber)
        given = station.give(2, publish=False, store=False) + station.give(1, store=False)
        # The disk is slow: nothing is stored yet when the gap is found.
        until_s = time.monotonic() + 0.3
        while (left_s := until_s - time.monotonic()) > 0:
            assert not isinstance(subscriber.receive(left_s), Verdict | Gap)
        station.store_the_rest()
        assert seen(subscriber, 3) == given
        assert subscriber.missed == 0


def test_after_a_restart_the_stream_goes_on_in_the_new_epoch(
    start: Start, endpoints: tuple[str, str]
) -> None:
    station = start()
    with Subscriber(*endpoints) as subscriber:
        listen(station, subscriber)
        first = station.give(2) + station.give(2, publish=False)
        assert seen(subscriber, 2) == first[:2]
        station = start()
        second = station.give(2, publish=False)
        assert seen_while_beating(station, subscriber, 4) == first[2:] + second
        assert subscriber.missed == 0
        assert subscriber.position == Position(station.journal.epoch, second[-1])


def test_a_restart_with_nothing_new_leaves_no_gap(start: Start, endpoints: tuple[str, str]) -> None:
    station = start()
    position = Position(station.journal.epoch, station.give(2)[-1])
    station = start()
    with Subscriber(*endpoints, position=position) as subscriber:
        listen(station, subscriber)
        (new,) = station.give(1)
        assert seen(subscriber, 1) == [new]
        assert subscriber.missed == 0


def test_a_client_that_was_away_goes_on_where_it_was(
    start: Start, endpoints: tuple[str, str]
) -> None:
    station = start()
    old = station.give(5)
    position = Position(station.journal.epoch, old[1])
    station = start()
    new = station.give(5)
    with Subscriber(*endpoints, position=position) as subscriber:
        assert seen_while_beating(station, subscriber, 8) == old[2:] + new


def test_the_beginning_of_everything_is_a_position(
    start: Start, endpoints: tuple[str, str]
) -> None:
    station = start()
    given = station.give(3)
    with Subscriber(*endpoints, position=Position(0, 0)) as subscriber:
        assert seen_while_beating(station, subscriber, 3) == given


def test_a_station_that_restarted_more_often_than_it_lists_is_replayed_from_the_beginning(
    start: Start, endpoints: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.journal.reader.EPOCHS_LISTED", 2)
    given: list[int] = []
    for _ in range(5):
        station = start()
        given += station.give(2)
    with Subscriber(*endpoints, position=Position(0, 0)) as subscriber:
        assert seen_while_beating(station, subscriber, len(given)) == given
        assert subscriber.missed == 0


def test_a_replay_endpoint_that_does_not_answer_leaves_a_gap_and_a_live_stream(
    start: Start,
    endpoints: tuple[str, str],
    endpoint: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agent.client.subscriber.REPLAY_TIMEOUT_S", 0.1)
    station = start()
    with Subscriber(endpoints[0], endpoint(), patience_s=0.1) as subscriber:
        listen(station, subscriber)
        station.give(2, publish=False)
        (after,) = station.give(1)
        gap, verdict = seen(subscriber, 2)
        assert isinstance(gap, Gap)
        assert verdict == after


@pytest.mark.parametrize(
    "frames",
    [
        [TOPIC, b"{}"],
        [TOPIC, b"\xff"],
        [TOPIC],
        [TOPIC, make_verdict().to_json().replace(b"verdict/1", b"verdict/2")],
        [b"v1/a/b/c/unknown/", b"{}"],
        [b"v1/", b"{}"],
    ],
)
def test_what_cannot_be_read_is_counted_and_passed_over(
    start: Start, endpoints: tuple[str, str], frames: list[bytes]
) -> None:
    station = start()
    with Subscriber(*endpoints) as subscriber:
        listen(station, subscriber)
        station.publisher._socket.send_multipart(frames)
        given = station.give(1)
        assert seen(subscriber, 1) == given
        assert subscriber.malformed == 1


@pytest.mark.parametrize("endpoints_given", [("5556", None), ("tcp://127.0.0.1:5556", "x")])
def test_an_endpoint_of_the_wrong_form_is_refused(endpoints_given: tuple[str, str | None]) -> None:
    with pytest.raises(InputError, match="is not an endpoint"):
        Subscriber(*endpoints_given)


def test_a_memory_takes_up_where_the_client_was(
    start: Start, endpoints: tuple[str, str], tmp_path: Path
) -> None:
    station = start()
    given = station.give(5)
    memory = tmp_path / "position.json"
    with Subscriber(*endpoints, memory=memory) as subscriber:
        assert seen_while_beating(station, subscriber, 3) == given[:3]
        # Ends here, while it deals with the third: that one comes again.
    with Subscriber(*endpoints, memory=memory) as subscriber:
        assert seen_while_beating(station, subscriber, 3) == given[2:]
        subscriber.receive(0)  # back for more: the last one is dealt with
    assert read_position(memory) == Position(station.journal.epoch, given[-1])


@pytest.mark.parametrize("content", ["", "{}", '{"epoch": "1", "seq": 1}', "[1, 2]"])
def test_a_damaged_memory_is_refused(
    tmp_path: Path, endpoints: tuple[str, str], content: str
) -> None:
    memory = tmp_path / "position.json"
    memory.write_text(content)
    with pytest.raises(InputError, match="holds no position"):
        Subscriber(*endpoints, memory=memory)


def test_a_memory_that_cannot_be_written_is_refused_at_once(
    tmp_path: Path, endpoints: tuple[str, str]
) -> None:
    with pytest.raises(InputError, match="cannot write"):
        Subscriber(*endpoints, memory=tmp_path / "none" / "position.json")


def test_the_station_remembers_for_a_client_that_acknowledges(
    start: Start, endpoints: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.client.acknowledge.EVERY_S", 0.0)
    station = start()
    given = station.give(3)
    reader = station.journal.reader()
    with Subscriber(*endpoints, client="mes") as subscriber:
        assert seen_while_beating(station, subscriber, 3) == given
        end_s = time.monotonic() + LIMIT_S
        while reader.acknowledged("mes") != (station.journal.epoch, given[-1]):
            assert time.monotonic() < end_s, "not acknowledged"
            station.beat()
            subscriber.receive(0.1)
    reader.close()
    more = station.give(2)
    with Subscriber(*endpoints, client="mes") as subscriber:
        assert seen_while_beating(station, subscriber, 2) == more


def test_silence_and_its_end_are_told(
    start: Start, endpoints: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.client.subscriber.SILENT_S", 0.2)
    with Subscriber(*endpoints) as subscriber:
        assert subscriber.receive(5.0) == Silence(over=False)
        station = start()
        for _ in range(100):
            station.beat()
            event = subscriber.receive(0.1)
            if event is not None:
                break
        assert event == Silence(over=True)


def test_without_a_replay_endpoint_for_now_a_gap_waits_until_it_can_be_filled(
    start: Start, endpoints: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.client.subscriber.REPLAY_TIMEOUT_S", 0.1)
    station = start()
    with Subscriber(*endpoints) as subscriber:
        listen(station, subscriber)
        station.replay.close()
        given = station.give(2, publish=False) + station.give(2)
        until_s = time.monotonic() + 0.5
        while (left_s := until_s - time.monotonic()) > 0:
            assert not isinstance(subscriber.receive(left_s), Verdict | Gap)
        station.replay = ReplayServer(
            station.door, endpoints[1], station.journal, lambda: State.READY
        )
        assert seen(subscriber, 4) == given
        assert subscriber.missed == 0


def test_verdicts_alone_can_be_iterated(start: Start, endpoints: tuple[str, str]) -> None:
    station = start()
    with Subscriber(*endpoints) as subscriber:
        listen(station, subscriber)
        given = station.give(2)
        station.beat()
        given += station.give(1)
        found = itertools.islice(subscriber.verdicts(), 3)
        assert [verdict.seq for verdict in found] == given
