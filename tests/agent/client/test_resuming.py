"""A client that was away, or whose station restarted, goes on where it was."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.client import Behind, Event, Gap, Position, Subscriber
from agent.client.position import read_position, write_position
from agent.errors import InputError
from agent.messaging.status import Heartbeat
from agent.verdict import Verdict
from tests.agent.client.station import ADDRESS, Start, Station, listen, seen, seen_while_beating
from tests.agent.factories import make_heartbeat

# For what happens within a moment, on a busy machine too.
LIMIT_S = 20.0


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


def test_what_a_station_has_forgotten_of_its_epoch_is_a_gap_to_who_was_away_longer(
    start: Start, endpoints: tuple[str, str]
) -> None:
    """Its journal was full meanwhile: the MES went on as if there had been nothing."""
    station = start()
    position = Position(station.journal.epoch, station.give(2)[-1])
    station = start()
    forgotten = station.give(2, store=False, publish=False)
    kept = station.give(2)
    with Subscriber(*endpoints, position=position) as subscriber:
        events = heard_of(station, subscriber, kept[-1])
        found = [each for each in events if isinstance(each, Gap | Verdict)]
        assert found[0] == Gap(station.journal.epoch, forgotten[0], forgotten[-1])
        assert [each.seq for each in found[1:] if isinstance(each, Verdict)] == kept
        assert subscriber.missed == 2


def test_without_replay_what_passed_since_a_restart_is_a_gap(
    start: Start, endpoints: tuple[str, str]
) -> None:
    station = start()
    position = Position(station.journal.epoch, station.give(1)[-1])
    station = start()
    passed = station.give(2, publish=False)
    with Subscriber(endpoints[0], position=position) as subscriber:
        gap = Gap(station.journal.epoch, passed[0], passed[-1])
        assert listen(station, subscriber) == gap
        assert subscriber.missed == 2


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


def test_what_was_forgotten_before_a_client_came_is_no_gap_to_it(
    start: Start, endpoints: tuple[str, str]
) -> None:
    """Who asks for all that is stored has lost nothing of what is not."""
    station = start()
    station.give(2, store=False, publish=False)
    kept = station.give(3)
    with Subscriber(*endpoints, position=Position(0, 0)) as subscriber:
        assert seen_while_beating(station, subscriber, 3) == kept
        assert subscriber.missed == 0


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


def test_epochs_of_a_newer_station_hold_up_nobody_however_many_there_are(
    start: Start, endpoints: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list of epochs without a verdict that could be read was asked for again and again."""
    monkeypatch.setattr("agent.journal.reader.EPOCHS_LISTED", 2)
    station = start()
    position = Position(station.journal.epoch, station.give(1)[-1])
    newer: list[Gap] = []
    for _ in range(3):
        station = start()
        first, *_, last = station.store_newer(2)
        newer.append(Gap(station.journal.epoch, first, last))
    station = start()
    given = station.give(1)
    with Subscriber(*endpoints, position=position) as subscriber:
        events = heard_of(station, subscriber, given[-1])
    assert [each for each in events if isinstance(each, Gap)] == newer
    assert [each.seq for each in events if isinstance(each, Verdict)] == given


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


def test_a_position_that_is_given_counts_more_than_the_memory(
    start: Start, endpoints: tuple[str, str], tmp_path: Path
) -> None:
    station = start()
    given = station.give(4)
    memory = tmp_path / "position.json"
    write_position(memory, Position(station.journal.epoch, given[2]))
    position = Position(station.journal.epoch, given[0])
    with Subscriber(*endpoints, position=position, memory=memory) as subscriber:
        assert seen_while_beating(station, subscriber, 3) == given[1:]


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


def heard_of(station: Station, subscriber: Subscriber, last: int) -> list[Event]:
    """Events, from before the station is heard to its verdict `last`."""
    events: list[Event] = []
    end_s = time.monotonic() + LIMIT_S
    while not any(isinstance(event, Verdict) and event.seq == last for event in events):
        assert time.monotonic() < end_s, events
        station.beat()
        event = subscriber.receive(0.1)
        if event is not None:
            events.append(event)
    return events


def heard(subscriber: Subscriber, enough: Callable[[Event], bool]) -> list[Event]:
    """Events until one is enough."""
    events: list[Event] = []
    end_s = time.monotonic() + LIMIT_S
    while not (events and enough(events[-1])):
        assert time.monotonic() < end_s, events
        event = subscriber.receive(0.1)
        if event is not None:
            events.append(event)
    return events


def test_a_station_that_has_lost_its_clock_and_its_journal_is_told_once(
    start: Start, endpoints: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """Every verdict of it was dropped without a word, for ever."""
    station = start()
    epoch = station.journal.epoch
    position = Position(epoch + 1000, 5)
    with Subscriber(*endpoints, position=position) as subscriber:
        assert listen(station, subscriber) == Behind(epoch, position)
        given = station.give(2)
        station.beat()
        events = heard(
            subscriber,
            lambda event: isinstance(event, Heartbeat) and event.last_seq == given[-1],
        )
    assert not any(isinstance(event, Behind | Verdict) for event in events)
    (line,) = [each.getMessage() for each in caplog.records if "behind" in each.getMessage()]
    assert f"epoch {epoch}, behind the remembered {epoch + 1000}" in line


def test_a_client_that_comes_back_within_an_epoch_is_told_no_alarm(
    start: Start, endpoints: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    station = start()
    position = Position(station.journal.epoch, station.give(2)[-1])
    with Subscriber(*endpoints, position=position) as subscriber:
        assert isinstance(listen(station, subscriber), Heartbeat)
    assert "behind" not in caplog.text


def test_what_comes_late_of_an_epoch_that_has_ended_is_no_alarm(
    start: Start, endpoints: tuple[str, str]
) -> None:
    """During a long replay it waits, and the station has been started again."""
    station = start()
    before = station.journal.epoch
    with Subscriber(*endpoints) as subscriber:
        listen(station, subscriber)
        station = start()
        (new,) = station.give(1, publish=False)
        assert seen_while_beating(station, subscriber, 1) == [new]
        station.publisher.send(ADDRESS.heartbeat, make_heartbeat(epoch=before).to_json())
        events = heard(
            subscriber, lambda event: isinstance(event, Heartbeat) and event.epoch == before
        )
        assert not any(isinstance(event, Behind) for event in events)
