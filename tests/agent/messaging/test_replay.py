"""The replay endpoint, spoken to by hand as an integrator would."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import zmq

from agent.journal import Journal, JournalReader, Stored
from agent.journal import database as database_module
from agent.journal import writer as writer_module
from agent.messaging import acknowledgements as acknowledgements_module
from agent.messaging import replay as replay_module
from agent.messaging.door import Door
from agent.messaging.replay import MAX_WAITING_OF_ONE, ReplayServer
from agent.states import State

TOPIC = b"v1/a/b/c/verdict/tiny/"


@pytest.fixture
def address(door: Door, endpoint: Callable[[], str], journal: Journal) -> Iterator[str]:
    where = endpoint()
    server = ReplayServer(door, where, journal, lambda: State.READY)
    yield where
    server.close()


def dealer(context: zmq.Context, address: str, kind: int = zmq.DEALER) -> zmq.Socket:
    socket = context.socket(kind)
    socket.set(zmq.RCVTIMEO, 5000)
    socket.connect(address)
    return socket


def fill(journal: Journal, count: int, size: int = 10) -> list[int]:
    seqs = [journal.next_seq() for _ in range(count)]
    for seq in seqs:
        journal.record(seq, TOPIC, b"%0*d" % (size, seq))
    assert journal.acknowledge("fill", 1, 1, timeout_s=10)
    return seqs


def collect(socket: zmq.Socket) -> tuple[list[list[bytes]], dict[str, Any]]:
    messages = []
    while len(frames := socket.recv_multipart()) == 2:
        messages.append(frames)
    return messages, json.loads(frames[0])


def test_a_range_comes_as_it_was_published_and_ends_with_its_count(
    context: zmq.Context, address: str, journal: Journal
) -> None:
    seqs = fill(journal, 500)
    socket = dealer(context, address)
    socket.send_json({"op": "replay", "epoch": journal.epoch, "from": seqs[3], "to": seqs[-2]})
    messages, end = collect(socket)
    assert messages == [[TOPIC, b"%010d" % seq] for seq in seqs[3:-1]]
    assert end == {"op": "end", "epoch": journal.epoch, "count": 496}


def test_an_unknown_range_is_empty(context: zmq.Context, address: str, journal: Journal) -> None:
    socket = dealer(context, address)
    for request in ({"epoch": 7, "from": 1, "to": 9}, {"epoch": journal.epoch, "from": 9, "to": 1}):
        socket.send_json({"op": "replay", **request})
        assert collect(socket) == ([], {"op": "end", "epoch": request["epoch"], "count": 0})


def test_a_snapshot_says_where_the_station_is(
    context: zmq.Context, address: str, journal: Journal
) -> None:
    seqs = fill(journal, 3)
    socket = dealer(context, address, zmq.REQ)
    socket.send_json({"op": "snapshot"})
    assert socket.recv_json() == {
        "op": "snapshot",
        "epoch": journal.epoch,
        "first_seq": seqs[0],
        "durable_seq": seqs[-1],
        "state": "Ready",
        "epochs": [{"epoch": journal.epoch, "first_seq": seqs[0], "last_seq": seqs[-1]}],
        "more": False,
    }


def test_an_acknowledgement_is_kept_for_its_client(
    context: zmq.Context, address: str, journal: Journal
) -> None:
    seqs = fill(journal, 3)
    socket = dealer(context, address, zmq.REQ)
    socket.send_json({"op": "snapshot", "client": "mes"})
    assert socket.recv_json()["acknowledged"] is None
    socket.send_json({"op": "ack", "client": "mes", "epoch": journal.epoch, "seq": seqs[1]})
    assert socket.recv_json() == {"op": "ack", "seq": seqs[1]}
    socket.send_json({"op": "snapshot", "client": "mes"})
    assert socket.recv_json()["acknowledged"] == {"epoch": journal.epoch, "seq": seqs[1]}


def test_what_was_never_published_cannot_be_acknowledged(
    context: zmq.Context, address: str, journal: Journal
) -> None:
    seqs = fill(journal, 3)
    socket = dealer(context, address, zmq.REQ)
    socket.send_json({"op": "ack", "client": "mes", "epoch": journal.epoch, "seq": seqs[-1] + 1})
    assert socket.recv_json()["op"] == "error"


def test_a_peer_that_does_not_read_delays_no_other(
    context: zmq.Context,
    door: Door,
    endpoint: Callable[[], str],
    journal: Journal,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agent.messaging.requests.REPLIES_WAITING", 100)
    monkeypatch.setattr("agent.messaging.replay.STALLED_S", 600.0)
    server = ReplayServer(door, address := endpoint(), journal, lambda: State.READY)
    request.addfinalizer(server.close)
    seqs = fill(journal, 600, size=20_000)
    everything = {"op": "replay", "epoch": journal.epoch, "from": seqs[0], "to": seqs[-1]}
    asleep = context.socket(zmq.DEALER)
    asleep.set(zmq.RCVHWM, 1)
    asleep.set(zmq.RCVBUF, 65_536)
    asleep.connect(address)
    awake = dealer(context, address)
    for _ in range(8):
        asleep.send_json(everything)
    for _ in range(3):
        awake.send_json(everything)
        messages, end = collect(awake)
        assert (len(messages), end["count"]) == (600, 600)
    # Of the one that sleeps, whose queue is full, not even the first is done.
    assert len(server._jobs) == 8


def test_a_peer_that_does_not_read_is_dropped_in_the_end(
    context: zmq.Context,
    door: Door,
    endpoint: Callable[[], str],
    journal: Journal,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Four that hang would take all the room that there is for replays."""
    monkeypatch.setattr("agent.messaging.requests.REPLIES_WAITING", 100)
    monkeypatch.setattr("agent.messaging.replay.STALLED_S", 0.05)
    server = ReplayServer(door, address := endpoint(), journal, lambda: State.READY)
    request.addfinalizer(server.close)
    seqs = fill(journal, 600, size=20_000)
    asleep = context.socket(zmq.DEALER)
    asleep.set(zmq.RCVHWM, 1)
    asleep.set(zmq.RCVBUF, 65_536)
    asleep.connect(address)
    asleep.send_json({"op": "replay", "epoch": journal.epoch, "from": seqs[0], "to": seqs[-1]})
    end_s = time.monotonic() + 20
    while "dropped a replay to a peer that does not read" not in caplog.text:
        assert time.monotonic() < end_s, "it is not dropped"
        threading.Event().wait(0.01)
    assert ask_state(context, address) == "Ready"
    assert server._jobs == []


def ask_state(context: zmq.Context, address: str) -> str:
    """As somebody else is told."""
    peer = dealer(context, address)
    peer.send_json({"op": "snapshot"})
    return str(peer.recv_json()["state"])


def test_a_verdict_that_becomes_durable_during_a_snapshot_is_not_told_as_lost(
    context: zmq.Context, address: str, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(journal, 1)
    list_epochs = JournalReader.epochs

    def list_and_commit(reader: JournalReader, since: int | None = None) -> object:
        listed = list_epochs(reader, since)
        fill(journal, 1)
        return listed

    monkeypatch.setattr(JournalReader, "epochs", list_and_commit)
    socket = dealer(context, address)
    socket.send_json({"op": "snapshot"})
    snapshot = socket.recv_json()
    assert snapshot["durable_seq"] <= snapshot["epochs"][-1]["last_seq"]


def test_while_the_disk_takes_nothing_acknowledgements_hold_up_nobody(
    context: zmq.Context,
    door: Door,
    endpoint: Callable[[], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(database_module, "BUSY_MS", 1)
    monkeypatch.setattr(writer_module, "RETRY_S", 0.02)
    journal = Journal(tmp_path / "journal.db")
    server = ReplayServer(door, where := endpoint(), journal, lambda: State.READY)
    other = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")  # from here on, nobody else can write
    seq = journal.next_seq()
    journal.record(seq, TOPIC, b"{}")
    while journal.fault is None:
        threading.Event().wait(0.005)
    socket = dealer(context, where)
    for client in ("mes", "plc"):
        socket.send_json({"op": "ack", "client": client, "epoch": journal.epoch, "seq": seq})
    socket.send_json({"op": "snapshot"})
    answers = [socket.recv_json() for _ in range(3)]
    assert [answer["op"] for answer in answers] == ["error", "error", "snapshot"]
    assert "ask later" in answers[0]["reason"]
    other.execute("ROLLBACK")
    other.close()
    server.close()
    journal.close()


@dataclass
class SlowDisk:
    """A replay service whose journal's next commit takes until `is_done`."""

    where: str
    journal: Journal
    other: sqlite3.Connection

    @property
    def acknowledgement(self) -> dict[str, Any]:
        return {"op": "ack", "client": "mes", "epoch": self.journal.epoch, "seq": 0}

    def is_done(self) -> None:
        self.other.execute("ROLLBACK")


@pytest.fixture
def slow(
    door: Door, endpoint: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SlowDisk]:
    # Nobody is told before the test is over that the disk were faulty.
    monkeypatch.setattr(database_module, "BUSY_MS", 600_000)
    monkeypatch.setattr(writer_module, "SLOW_S", 600.0)
    monkeypatch.setattr(acknowledgements_module, "LONGEST_WAIT_S", 600.0)
    journal = Journal(tmp_path / "journal.db")
    server = ReplayServer(door, where := endpoint(), journal, lambda: State.READY)
    other = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")  # from here on, nobody else can write
    yield SlowDisk(where, journal, other)
    other.close()
    server.close()
    journal.close()


def test_an_acknowledgement_that_waits_for_the_disk_holds_up_nobody(
    context: zmq.Context, slow: SlowDisk
) -> None:
    acknowledging, asking = dealer(context, slow.where), dealer(context, slow.where)
    acknowledging.send_json(slow.acknowledgement)
    acknowledging.send_json({"op": "snapshot"})
    assert acknowledging.recv_json()["op"] == "snapshot"
    asking.send_json({"op": "replay", "epoch": slow.journal.epoch, "from": 1, "to": 9})
    assert asking.recv_json()["op"] == "end"
    slow.is_done()
    assert acknowledging.recv_json() == {"op": "ack", "seq": 0}
    acknowledging.send_json({"op": "snapshot", "client": "mes"})
    stored = {"epoch": slow.journal.epoch, "seq": 0}
    assert acknowledging.recv_json()["acknowledged"] == stored


def test_an_acknowledgement_is_refused_when_it_has_waited_for_too_long(
    context: zmq.Context, slow: SlowDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acknowledgements_module, "LONGEST_WAIT_S", 0.0)
    acknowledging = dealer(context, slow.where)
    acknowledging.send_json(slow.acknowledgement)
    assert "ask later" in acknowledging.recv_json()["reason"]


def test_only_so_many_acknowledgements_wait_for_the_disk(
    context: zmq.Context, slow: SlowDisk
) -> None:
    acknowledging = dealer(context, slow.where)
    for _ in range(MAX_WAITING_OF_ONE + 1):
        acknowledging.send_json(slow.acknowledgement)
    assert acknowledging.recv_json()["reason"] == "too many requests under way: ask later"
    slow.is_done()
    answers = [acknowledging.recv_json() for _ in range(MAX_WAITING_OF_ONE)]
    assert {answer["op"] for answer in answers} == {"ack"}


def test_a_disk_that_hangs_does_not_hold_up_the_end(
    endpoint: Callable[[], str],
    journal: Journal,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A replay under way stood in the journal, and the journal's own end was never reached."""
    reading, goes_on = threading.Event(), threading.Event()

    def page(*_: object) -> list[Stored]:
        reading.set()
        goes_on.wait(10.0)
        return []

    monkeypatch.setattr(JournalReader, "page", page)
    monkeypatch.setattr(replay_module, "END_S", 0.01)
    context: zmq.Context = zmq.Context()
    door, where = Door(context, None), endpoint()
    server = ReplayServer(door, where, journal, lambda: State.READY)
    asking = dealer(context, where)
    asking.send_json({"op": "replay", "epoch": journal.epoch, "from": 1, "to": 9})
    reading.wait()
    try:
        server.close()
        assert server.alive
        asking.close(linger=0)
        door.close()
        context.term()  # waits for every socket that is still open
    finally:
        goes_on.set()
    while server.alive:  # which has no socket any more
        time.sleep(0.001)
    assert not caplog.messages


@pytest.mark.parametrize(
    ("request_frames", "reason"),
    [
        ([b"{"], "Invalid JSON"),
        ([b""], "Invalid JSON"),
        ([b"\xff\xff"], "Invalid JSON"),
        ([b"[]"], "should be an object"),
        ([b"{}"], "Unable to extract tag"),
        ([b'{"op":"format"}'], "Input tag 'format'"),
        ([b'{"op":"trigger","part_id":"A"}'], "Input tag 'trigger'"),
        ([b'{"op":"replay","epoch":1,"from":1}'], "replay.to: Field required"),
        ([b'{"op":"replay","epoch":"1","from":1,"to":2}'], "replay.epoch"),
        ([b'{"op":"replay","epoch":1,"from":-1,"to":2}'], "replay.from"),
        ([b'{"op":"replay","epoch":1,"from":1,"to":99999999999999999999}'], "replay.to"),
        ([b'{"op":"ack","client":"","epoch":1,"seq":1}'], "ack.client"),
        ([b'{"op":"ack","client":"a\\u001bb","epoch":1,"seq":1}'], "ack.client"),
        ([b'{"op":"ack","client":"a\xc2\x9bb","epoch":1,"seq":1}'], "ack.client"),
        ([b'{"op":"snapshot","more":1}'], "snapshot.more"),
        ([b'{"op":"snapshot"}', b"more"], "expected one frame"),
    ],
)
def test_a_malformed_request_is_answered_and_counted(
    context: zmq.Context,
    door: Door,
    endpoint: Callable[[], str],
    journal: Journal,
    request: pytest.FixtureRequest,
    request_frames: list[bytes],
    reason: str,
) -> None:
    where = endpoint()
    server = ReplayServer(door, where, journal, lambda: State.READY)
    request.addfinalizer(server.close)
    socket = dealer(context, where)
    socket.send_multipart(request_frames)
    answer = socket.recv_json()
    assert answer["op"] == "error"
    assert reason in answer["reason"]
    assert door.malformed == 1
    # and nothing else has happened
    socket.send_json({"op": "snapshot"})
    assert socket.recv_json()["op"] == "snapshot"
