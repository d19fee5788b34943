"""`normline watch` shows what a station says, what was missed, and silence."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import zmq
from click.testing import CliRunner, Result

from agent.client import Behind, Position, Subscriber
from agent.commands.watch import Pulse, _show, watch
from agent.errors import InputError
from agent.messaging.door import Door
from agent.messaging.publisher import Publisher
from agent.messaging.status import DriftState, Heartbeat
from agent.messaging.topics import Address
from agent.verdict import LateResult, Outcome, Reason
from tests.agent.factories import make_heartbeat, make_verdict
from tests.agent.service.process import StationProcess, write_station

ADDRESS = Address("a", "b", "c")
TOPIC = ADDRESS.verdict("tiny")


class Announcer(threading.Thread):
    """Publishes the same messages in rounds, each in the next epoch, until it is stopped."""

    def __init__(self, context: zmq.Context, endpoint: str, seqs: list[int]) -> None:
        super().__init__(daemon=True)
        self.door = Door(context, None)
        self.publisher = Publisher(self.door, endpoint, ADDRESS.welcome)
        self.seqs = seqs
        self.stopped = threading.Event()

    def run(self) -> None:
        epoch = 0
        while not self.stopped.wait(0.01):
            epoch += 1
            for seq in self.seqs:
                verdict = make_verdict(epoch, seq)
                if seq % 2 == 0:
                    verdict = make_verdict(
                        epoch, seq, verdict=Outcome.NO_DECISION, reason=Reason.OVERRUN, score=None
                    )
                self.publisher.send(TOPIC, verdict.to_json())
            self.publisher.drain()
        self.door.close()


Announce = Callable[[list[int]], str]


@pytest.fixture
def announce(context: zmq.Context, endpoint: Callable[[], str]) -> Iterator[Announce]:
    threads: list[Announcer] = []

    def announce(seqs: list[int]) -> str:
        where = endpoint()
        threads.append(Announcer(context, where, seqs))
        threads[-1].start()
        return where

    yield announce
    for thread in threads:
        thread.stopped.set()
        thread.join()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(watch, arguments)


def test_it_prints_a_line_for_each_verdict_and_ends_after_the_count(announce: Announce) -> None:
    result = run(announce([1, 2]), "--count", "4")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert len(lines) == 4
    passed = next(line for line in lines if "PASS" in line)
    assert "part-1" in passed and "score -1.000 (limit 0.000)" in passed
    assert any("NO_DECISION" in line and "OVERRUN" in line for line in lines)


def test_a_gap_is_told(announce: Announce) -> None:
    result = run(announce([1, 5]), "--count", "4")
    assert "gap: 3 verdicts missed (2 to 4)" in result.output


def test_for_programs_every_line_is_json(announce: Announce) -> None:
    result = run(announce([1, 5]), "--count", "4", "--json")
    messages = [json.loads(line) for line in result.output.splitlines()]
    assert {message["seq"] for message in messages if "seq" in message} == {1, 5}
    gap = next(message["gap"] for message in messages if "gap" in message)
    assert (gap["first"], gap["last"]) == (2, 4)


class Quiet:
    """A triggered station that nobody triggers: heartbeats alone, for a while."""

    def __init__(self, *_: object, **__: object) -> None:
        self.beats = [make_heartbeat(first_seq=8, last_seq=9, calibration="5a" * 32)] * 3

    def __enter__(self) -> Quiet:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def receive(self, _timeout_s: float) -> Heartbeat:
        return self.beats.pop()

    def __iter__(self) -> Iterator[Heartbeat]:
        return iter(self.beats)


def test_a_station_that_has_nothing_to_say_is_seen_to_be_heard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not one byte was shown: who saw that took it for a hang, or the trigger for dead."""
    monkeypatch.setattr("agent.commands.watch.Subscriber", Quiet)
    (line,) = run("tcp://127.0.0.1:5556").output.splitlines()
    said = "  Ready, camera running, verdicts since the start: 2, calibration 5a5a5a5a5a5a"
    assert line.endswith(said)
    (line,) = run("tcp://127.0.0.1:5556", "--json").output.splitlines()
    assert json.loads(line)["state"] == "Ready"


def heard_before() -> Pulse:
    """Of a station on which all was well."""
    pulse = Pulse()
    pulse.lines(make_heartbeat(), False)
    return pulse


def test_what_a_heartbeat_says_is_wrong_is_told_when_it_comes_and_goes() -> None:
    """A full disk and a drift from before were in every heartbeat, and no command showed them."""
    drift = DriftState(
        state="DRIFT", evidence=120.0, changes=("darker by 12%",), parts=9, calibration="0" * 64
    )
    full = make_heartbeat(journal_fault="no space left", drift=drift)
    pulse = heard_before()
    told = [click.unstyle(line) for line in pulse.lines(full, False)]
    assert told == ["journal fault: no space left", "drift: darker by 12%"]
    assert pulse.lines(full, False) == []
    over = [click.unstyle(line) for line in pulse.lines(make_heartbeat(drift=drift), False)]
    assert over == ["no journal fault"]
    assert [json.loads(line) for line in pulse.lines(full, True)] == [json.loads(full.to_json())]


def test_a_fault_that_is_measured_anew_with_every_picture_is_told_once() -> None:
    """A night of blurred pictures printed five lines a second."""
    pulse = heard_before()
    told = []
    for fault in ("blurred: sharpness 0.031", "blurred: sharpness 0.1", "dark: mean level 9", None):
        told += pulse.lines(make_heartbeat(picture_fault=fault), False)
    assert [click.unstyle(line) for line in told] == [
        "picture fault: blurred: sharpness 0.031",
        "picture fault: dark: mean level 9",
        "no picture fault",
    ]


def test_what_the_station_has_lost_or_refused_is_told_as_it_grows() -> None:
    """service.md says to look for it, and nothing showed it."""
    pulse = heard_before()
    told = [
        [click.unstyle(line) for line in pulse.lines(make_heartbeat(**counts), False)]
        for counts in (
            {"journal_forgotten": 3},  # from before
            {"journal_forgotten": 3},
            {"journal_forgotten": 5, "camera_restarts": 1},
            {},  # the station has been started again
            {"journal_lost": 1, "evidence_dropped": 1, "malformed": 1, "forbidden": 1},
        )
    ]
    assert told == [
        ["journal forgotten: 3"],
        [],
        ["camera restarts: 1", "journal forgotten: 5"],
        [],
        ["malformed: 1", "forbidden: 1", "journal lost: 1", "evidence dropped: 1"],
    ]


LATE = LateResult(
    epoch=1, seq=7, part_id="A7", found=Outcome.REJECT, reason=None, score=2.0, p_value=0.1,
    regions=(),
)  # fmt: skip


@pytest.mark.parametrize(
    ("event", "text", "as_json"),
    [
        (LATE, "       7  A7            too late: REJECT", json.loads(LATE.to_json())),
        (
            Behind(5, Position(9, 1)),
            "the station is at epoch 5, behind 9: its clock and its journal were lost, and none of "
            "its verdicts is shown; start normline watch again",
            {"behind": {"epoch": 5, "position": {"epoch": 9, "seq": 1}}},
        ),
    ],
)
def test_what_came_too_late_and_a_station_behind_are_shown(
    capsys: pytest.CaptureFixture[str],
    event: LateResult | Behind,
    text: str,
    as_json: dict[str, Any],
) -> None:
    _show(event, False)
    assert click.unstyle(capsys.readouterr().out) == text + "\n"
    _show(event, True)
    assert json.loads(capsys.readouterr().out) == as_json


def test_silence_from_the_start_is_an_error(endpoint: Callable[[], str]) -> None:
    result = run(endpoint(), "--timeout", "0.1")
    assert isinstance(result.exception, InputError)
    assert "nothing heard from" in str(result.exception)
    assert "does it ask for a key (none was given)?" in str(result.exception)


def test_a_station_that_falls_silent_is_told(
    announce: Announce, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Shorter than the pauses between its messages.
    monkeypatch.setattr("agent.client.subscriber.SILENT_S", 0.0001)
    result = run(announce([1]), "--count", "20")
    assert "the station is silent" in result.output
    assert "the station is back" in result.output


def test_an_endpoint_of_the_wrong_form_is_an_error() -> None:
    result = run("5556")
    assert isinstance(result.exception, InputError)


def test_what_came_before_it_was_started_is_shown_when_asked_for(tmp_path: Path) -> None:
    station_file = write_station(tmp_path, {"uri": "synthetic://?rate=60"})
    with StationProcess(station_file) as station:
        with Subscriber(station.publish["verdicts"]) as other:
            next(verdict for verdict in other.verdicts() if verdict.seq >= 20)
        verdicts, replay = station.publish["verdicts"], station.publish["replay"]
        result = run(verdicts, "--replay", replay, "--all", "--count", "30", "--json")
    assert result.exit_code == 0, result.output
    messages = [json.loads(line) for line in result.output.splitlines()]
    seqs = [message["seq"] for message in messages if "seq" in message]
    assert seqs == list(range(seqs[0], seqs[0] + 30)) and seqs[0] == 1


def test_all_of_a_journal_that_cannot_be_read_is_refused() -> None:
    result = run("tcp://127.0.0.1:5556", "--all")
    assert result.exit_code == 2 and "--all needs --replay" in result.output
