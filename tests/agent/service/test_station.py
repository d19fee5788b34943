"""The station end to end: real processes, real sockets, a rendered camera, the tiny model."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import zmq

from agent.client import Event, Gap, Position, Subscriber
from agent.journal import Journal
from agent.journal.writer import JournalWriter
from agent.messaging.status import StateChange
from agent.service import run_station
from agent.signals import own_handlers
from agent.states import State
from agent.verdict import Outcome, Reason, Verdict
from tests.agent.journal.filling import settle, stored_in
from tests.agent.service.process import Plc, StationProcess, write_station

BEGINNING = Position(0, 0)
FAST = {"uri": "synthetic://?rate=30&seed=1&defect_rate=0.1"}
# One picture every ten minutes: what is triggered stays open.
STANDING = {"uri": "synthetic://?rate=0.0017", "mode": "triggered", "deadline_ms": None}


def follow(subscriber: Subscriber, enough: Callable[[list[Event]], bool]) -> list[Event]:
    """Events until there are enough, within half a minute."""
    events: list[Event] = []
    end_s = time.monotonic() + 30
    while not enough(events):
        assert time.monotonic() < end_s, f"not enough in {events[-3:]}"
        event = subscriber.receive(1.0)
        if event is not None:
            events.append(event)
    return events


def verdicts_in(events: list[Event]) -> list[Verdict]:
    return [event for event in events if isinstance(event, Verdict)]


def test_every_part_of_a_free_run_is_received_in_order(tmp_path: Path) -> None:
    # Slow enough for a subscriber that comes late to hear the end.
    station_file = write_station(tmp_path, {"uri": "synthetic://?rate=5&parts=15&wait=true"})
    with StationProcess(station_file) as station:
        with Subscriber(
            station.publish["verdicts"], station.publish["replay"], position=BEGINNING
        ) as subscriber:
            events = follow(
                subscriber,
                lambda seen: (
                    isinstance(seen[-1], StateChange) and seen[-1].state is State.HALTED
                    if seen
                    else False
                ),
            )
        assert station.wait() == 0
    verdicts = verdicts_in(events)
    assert [verdict.part_id for verdict in verdicts] == [f"{index:06d}" for index in range(15)]
    assert [verdict.seq for verdict in verdicts] == list(range(1, 16))
    assert {verdict.verdict for verdict in verdicts} == {Outcome.PASS}
    assert not any(isinstance(event, Gap) for event in events)


def test_after_a_kill_the_stream_goes_on_without_a_gap_or_a_number_used_twice(
    tmp_path: Path,
) -> None:
    station_file = write_station(tmp_path, FAST)
    with StationProcess(station_file) as station:
        endpoints = station.publish["verdicts"], station.publish["replay"]
        with Subscriber(*endpoints, position=BEGINNING) as subscriber:
            before = verdicts_in(follow(subscriber, lambda seen: len(verdicts_in(seen)) >= 10))
            station.kill()
            with StationProcess(station_file):
                after = verdicts_in(
                    follow(
                        subscriber,
                        lambda seen: sum(v.epoch > before[0].epoch for v in verdicts_in(seen)) >= 5,
                    )
                )
            assert subscriber.missed == 0
    numbers = [(verdict.epoch, verdict.seq) for verdict in before + after]
    assert numbers == sorted(set(numbers))
    assert len({seq for _, seq in numbers}) == len(numbers)
    assert after[-1].epoch > before[-1].epoch


def test_a_part_that_is_open_when_the_station_is_killed_is_answered_on_its_return(
    tmp_path: Path, context: zmq.Context
) -> None:
    station_file = write_station(tmp_path, STANDING)
    with StationProcess(station_file) as station:
        plc = Plc(context, station.publish["commands"])
        assert plc.ask(op="trigger", part_id="A17") == {
            "op": "trigger", "part_id": "A17", "accepted": True,
        }  # fmt: skip
        station.kill()
    with (
        StationProcess(station_file) as station,
        Subscriber(
            station.publish["verdicts"], station.publish["replay"], position=BEGINNING
        ) as subscriber,
    ):
        (verdict,) = verdicts_in(follow(subscriber, lambda seen: bool(verdicts_in(seen))))
        assert (verdict.part_id, verdict.reason) == ("A17", Reason.INTERRUPTED)
        # Once and for all: the next start has nothing left to answer.
        assert station.terminate() == 0
    with (
        StationProcess(station_file) as station,
        Subscriber(
            station.publish["verdicts"], station.publish["replay"], position=BEGINNING
        ) as subscriber,
    ):
        plc = Plc(context, station.publish["commands"])
        plc.ask(op="trigger", part_id="B1", deadline_ms=1)
        found = verdicts_in(follow(subscriber, lambda seen: len(verdicts_in(seen)) >= 2))
        assert [each.part_id for each in found] == ["A17", "B1"]


def test_triggered_parts_are_answered_under_their_ids(tmp_path: Path, context: zmq.Context) -> None:
    station_file = write_station(
        tmp_path, {**FAST, "mode": "triggered", "deadline_ms": 10_000.0}, threshold=-1000.0
    )
    with StationProcess(station_file) as station:
        plc = Plc(context, station.publish["commands"])
        for part in ("A1", "A2", "A3"):
            assert plc.ask(op="trigger", part_id=part)["accepted"]
        with Subscriber(
            station.publish["verdicts"], station.publish["replay"], position=BEGINNING
        ) as subscriber:
            found = verdicts_in(follow(subscriber, lambda seen: len(verdicts_in(seen)) >= 3))
    assert [(each.part_id, each.verdict) for each in found] == [
        (part, Outcome.REJECT) for part in ("A1", "A2", "A3")
    ]
    assert all(each.regions and each.durations_ms.capture is not None for each in found)


def test_told_to_end_it_answers_what_is_open_and_says_goodbye(
    tmp_path: Path, context: zmq.Context
) -> None:
    station_file = write_station(tmp_path, STANDING)
    with (
        StationProcess(station_file) as station,
        Subscriber(station.publish["verdicts"]) as subscriber,
    ):
        follow(subscriber, bool)
        assert Plc(context, station.publish["commands"]).ask(op="trigger", part_id="A")["accepted"]
        assert station.terminate() == 0
        events = follow(
            subscriber,
            lambda seen: any(isinstance(e, StateChange) and e.state is State.HALTED for e in seen),
        )
        assert [verdict.reason for verdict in verdicts_in(events)] == [Reason.INTERRUPTED]
        assert "Traceback" not in station.stderr()


def test_a_station_whose_terminal_closes_ends_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was killed; and a terminal says so twice, the second time while the journal is closed."""
    ready, closed = [], []

    def close(journal: Journal) -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        closed.append(journal.close())

    def unheard(*_: object) -> None:
        raise AssertionError("the signal is not heard")

    def hang_up(_: object) -> None:
        ready.append(True)
        os.kill(os.getpid(), signal.SIGHUP)

    monkeypatch.setattr("agent.service.startup._close_journal", close)
    with own_handlers():
        signal.signal(signal.SIGHUP, unheard)
        run_station(write_station(tmp_path, FAST), hang_up)
    assert ready and closed == [True]


def test_when_nothing_writes_the_journal_any_more_the_station_ends_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It went on until the log ahead was full, and waited for somebody to restart it."""

    def fail(*_: object) -> None:
        raise KeyError("a defect")

    station_file = write_station(tmp_path, {"uri": "synthetic://?rate=30&parts=90"})
    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="a thread"):
        patch.setattr(JournalWriter, "_commit", fail)
        run_station(station_file, lambda _: None)
    again = Journal(tmp_path / "journal.db")
    settle(again)
    assert stored_in(again) >= 1
    again.close()
