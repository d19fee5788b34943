"""The command endpoint, spoken to by hand as a PLC's gateway would."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import zmq

from agent.journal import Journal
from agent.messaging.door import Door
from agent.service.commands import CommandDesk
from tests.agent.service.fakes import Rig

LIMIT_S = 20.0
TRIGGER = {"op": "trigger", "part_id": "A17", "deadline_ms": 80_000}
ACCEPTED = {"op": "trigger", "part_id": "A17", "accepted": True}


class Talk:
    """A line, its desk, and a peer in front of it."""

    def __init__(self, folder: Path, door: Door, endpoint: str, kind: int) -> None:
        self.door = door
        self.folder = folder
        self.rig = Rig(folder)
        self.rig.line.begin()
        self.desk = CommandDesk(door, endpoint, self.rig.journal, "tiny")
        self.peer = door.context.socket(kind)
        self.peer.connect(endpoint)

    def ask(self, request: Any) -> dict[str, Any]:
        """Send a request (bytes as they are) and let the station work until it is answered."""
        self.peer.send(request if isinstance(request, bytes) else json.dumps(request).encode())
        return self.hear()

    @contextmanager
    def disk_held(self) -> Iterator[None]:
        """Nothing can be written, which is no fault yet."""
        connection = self.rig.journal._writer._connection
        connection.execute(f"PRAGMA busy_timeout={int(LIMIT_S * 1000)}")
        other = sqlite3.connect(self.folder / "journal.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")
        other.close()

    def hear(self) -> dict[str, Any]:
        for _ in range(1000):
            self.desk.serve(self.rig.line)
            if self.peer.poll(5):
                answer: dict[str, Any] = self.peer.recv_json()
                return answer
        pytest.fail("not answered")


@pytest.fixture(params=[zmq.DEALER, zmq.REQ], ids=["dealer", "req"])
def talk(
    tmp_path: Path,
    door: Door,
    endpoint: Callable[[], str],
    request: pytest.FixtureRequest,
) -> Iterator[Talk]:
    talk = Talk(tmp_path, door, endpoint(), request.param)
    yield talk
    talk.desk.close()
    talk.rig.close()


def test_an_accepted_trigger_is_durable_when_it_is_answered(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.service.commands.DURABLE_WAIT_S", LIMIT_S)
    with talk.disk_held():
        talk.peer.send_json(TRIGGER)
        end_s = time.monotonic() + LIMIT_S
        while not talk.rig.line.has_open("A17"):
            assert time.monotonic() < end_s
            talk.desk.serve(talk.rig.line)
        for _ in range(10):
            talk.desk.serve(talk.rig.line)
            assert not talk.peer.poll(5), "answered before the part was on the disk"
    assert talk.hear() == ACCEPTED
    stored = talk.rig.journal._writer._connection.execute("SELECT * FROM open_parts").fetchall()
    assert stored == [("A17", 80_000.0)]


def test_a_disk_that_takes_too_long_does_not_hold_the_answer_up(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.service.commands.DURABLE_WAIT_S", 0.02)
    with talk.disk_held():
        assert talk.ask(TRIGGER) == ACCEPTED
        assert talk.rig.line.has_open("A17")


def test_a_disk_that_is_known_to_be_full_does_not_hold_the_answer_up(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.service.commands.DURABLE_WAIT_S", 600.0)
    with talk.disk_held():
        monkeypatch.setattr(Journal, "fault", "disk full")
        assert talk.ask(TRIGGER) == ACCEPTED


def test_an_answer_that_waits_for_the_disk_is_given_at_the_end(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The part is open, and gets its verdict: its PLC should not think that it was not heard."""
    monkeypatch.setattr("agent.service.commands.DURABLE_WAIT_S", 600.0)
    with talk.disk_held():
        talk.peer.send_json(TRIGGER)
        end_s = time.monotonic() + LIMIT_S
        while not talk.rig.line.has_open("A17"):
            assert time.monotonic() < end_s
            talk.desk.serve(talk.rig.line)
        talk.desk.close()
        assert talk.peer.poll(LIMIT_S * 1000) and talk.peer.recv_json() == ACCEPTED
        talk.desk._held.clear()  # as it is closed once more


def test_a_refused_trigger_says_why_and_is_answered_on_the_line(talk: Talk) -> None:
    talk.ask({"op": "trigger", "part_id": "A"})
    talk.ask({"op": "trigger", "part_id": "B"})
    assert talk.ask({"op": "trigger", "part_id": "C"}) == {
        "op": "trigger", "part_id": "C", "accepted": False, "reason": "OVERRUN",
    }  # fmt: skip
    assert talk.rig.verdicts == [("C", "NO_DECISION", "OVERRUN")]


def test_a_part_that_is_open_cannot_be_triggered_again(talk: Talk) -> None:
    talk.ask({"op": "trigger", "part_id": "A"})
    answer = talk.ask({"op": "trigger", "part_id": "A"})
    assert (answer["op"], answer["part_id"]) == ("error", "A")
    assert "A is open" in answer["reason"]
    assert talk.rig.verdicts == []


def test_stop_start_and_state(talk: Talk) -> None:
    assert talk.ask({"op": "state"}) == {"op": "state", "state": "Ready"}
    assert talk.ask({"op": "stop"}) == {"op": "stop", "state": "Initialized"}
    answer = talk.ask({"op": "trigger", "part_id": "A"})
    assert (answer["accepted"], answer["reason"]) == (False, "NOT_READY")
    assert talk.ask({"op": "start"}) == {"op": "start", "state": "Ready"}
    assert talk.ask({"op": "start"}) == {"op": "start", "state": "Ready"}


@pytest.mark.parametrize(("product", "accepted"), [("tiny", True), ("other", False)])
def test_only_the_product_of_the_station_can_be_selected(
    talk: Talk, product: str, accepted: bool
) -> None:
    answer = talk.ask({"op": "select", "product_id": product})
    assert answer["accepted"] is accepted
    assert ("reason" in answer) is not accepted


@pytest.mark.parametrize(
    "request_",
    [
        b"",
        b"not json",
        b'"trigger"',
        {"op": "reboot"},
        {"op": "trigger"},
        {"op": "trigger", "part_id": ""},
        {"op": "trigger", "part_id": 17},
        {"op": "trigger", "part_id": "x" * 129},
        {"op": "trigger", "part_id": "A", "deadline_ms": 0},
        {"op": "trigger", "part_id": "A", "deadline_ms": "80"},
        b'{"op":"trigger","part_id":"A","deadline_ms":NaN}',
        {"op": "trigger", "part_id": "A", "speed": 3},
        {"op": "stop", "now": True},
        {"op": "snapshot"},
    ],
)
def test_a_malformed_command_is_answered_counted_and_nothing_else(
    talk: Talk, request_: Any
) -> None:
    assert talk.ask(request_)["op"] == "error"
    assert talk.door.malformed == 1
    assert talk.rig.verdicts == []
    assert talk.ask({"op": "state"})["state"] == "Ready"
