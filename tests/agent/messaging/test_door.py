"""Who is not listed gets nothing, who is revoked is cut off, and whoever came is counted."""

from __future__ import annotations

import errno
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import zmq
from pydantic import TypeAdapter

from agent.client.connection import connect
from agent.errors import InputError
from agent.journal import Journal
from agent.keys import ClientKey, KeyFolder, Role
from agent.keys.files import read_secret_file
from agent.messaging import door as door_module
from agent.messaging.door import Domain, Door
from agent.messaging.publisher import Publisher
from agent.messaging.replay import MAX_WAITING_OF_ONE, ReplayServer
from agent.messaging.requests import Command, RequestSocket
from agent.states import State
from tests.agent.conftest import free_endpoint

WELCOME = b"v1/a/b/c/welcome/"
VERDICT = b"v1/a/b/c/verdict/tiny/"
READ = frozenset({Role.READ})
LIMIT_S = 20.0


class Guarded:
    """A publisher and a replay service behind a door with keys, both at work."""

    def __init__(self, folder: Path, journal: Journal) -> None:
        self.keys = KeyFolder(folder / "keys")
        self.keys.make()
        self._folder = folder
        self.verdicts, self.replay = free_endpoint(), free_endpoint()
        self._context: zmq.Context = zmq.Context()
        self.door = Door(self._context, self.keys)
        self._publisher = Publisher(self.door, self.verdicts, WELCOME)
        self._server = ReplayServer(self.door, self.replay, journal, lambda: State.READY)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._publish)
        self._thread.start()

    def _publish(self) -> None:
        while not self._stop.wait(0.005):
            self._publisher.drain()
            self._publisher.send(VERDICT, b"{}")

    def client(self, name: str, roles: frozenset[Role] = READ) -> ClientKey:
        """The key of a client that is admitted."""
        path = self._folder / f"{name}.key"
        self.keys.admit(name, roles, path)
        return read_secret_file(path, ClientKey)

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._server.close()
        self.door.close()
        self._context.destroy(linger=0)


@pytest.fixture
def station(tmp_path: Path, journal: Journal) -> Iterator[Guarded]:
    station = Guarded(tmp_path, journal)
    yield station
    station.close()


def until(reached: Callable[[], bool]) -> None:
    end_s = time.monotonic() + LIMIT_S
    while not reached():
        assert time.monotonic() < end_s, "not reached"
        time.sleep(0.01)


def subscribe(context: zmq.Context, station: Guarded, key: ClientKey | None) -> zmq.Socket:
    subscriber = connect(context, zmq.SUB, station.verdicts, key)
    subscriber.set(zmq.SUBSCRIBE, b"")
    return subscriber


def ask(peer: zmq.Socket, **request: Any) -> dict[str, Any]:
    peer.send_json(request)
    assert peer.poll(LIMIT_S * 1000), "not answered"
    answer: dict[str, Any] = json.loads(peer.recv())
    return answer


def test_a_client_is_served_as_soon_as_it_is_listed(station: Guarded, context: zmq.Context) -> None:
    key = station.client("mes")
    subscriber = subscribe(context, station, key)
    assert subscriber.poll(LIMIT_S * 1000)
    assert subscriber.recv_multipart() == [WELCOME]
    assert ask(connect(context, zmq.DEALER, station.replay, key), op="snapshot")["state"] == "Ready"


def stranger(station: Guarded) -> ClientKey:
    """A pair that nobody has listed, with the station's true public key."""
    public, secret = zmq.curve_keypair()
    known = station.client("known")
    return known.model_copy(
        update={
            "public_key": public.decode(),
            "secret_key": type(known.secret_key)(secret.decode()),
        }
    )


@pytest.mark.parametrize("who", ["without a key", "not listed", "of another role", "wrong station"])
def test_who_is_not_admitted_gets_nothing(station: Guarded, context: zmq.Context, who: str) -> None:
    key = {
        "without a key": lambda: None,
        "not listed": lambda: stranger(station),
        "of another role": lambda: station.client("plc", frozenset({Role.TRIGGER})),
        "wrong station": lambda: station.client("mes").model_copy(
            update={"station_key": zmq.curve_keypair()[0].decode()}
        ),
    }[who]()
    subscriber = subscribe(context, station, key)
    dealer = connect(context, zmq.DEALER, station.replay, key)
    dealer.send_json({"op": "snapshot"})
    until(lambda: station.door.closed >= 2)  # each has come, and was sent away
    assert not subscriber.poll(300)
    assert not dealer.poll(0)
    assert station.door.admitted == 0


@pytest.mark.parametrize("how", ["revoked", "other roles", "list damaged", "list gone"])
def test_who_is_admitted_no_more_loses_a_live_connection(
    station: Guarded, context: zmq.Context, how: str, tmp_path: Path
) -> None:
    key = station.client("mes")
    subscriber = subscribe(context, station, key)
    dealer = connect(context, zmq.DEALER, station.replay, key)
    assert subscriber.poll(LIMIT_S * 1000)
    assert ask(dealer, op="snapshot")["op"] == "snapshot"
    before = station.door.closed
    if how == "revoked":
        station.keys.revoke("mes")
    elif how == "other roles":
        text = station.keys.clients_file.read_text().replace('"read"', '"control"')
        station.keys.clients_file.write_text(text)
    elif how == "list damaged":
        station.keys.clients_file.write_text("{")
    else:
        station.keys.clients_file.unlink()
    until(lambda: station.door.closed >= before + 2)
    while subscriber.poll(0):
        subscriber.recv_multipart()
    with suppress(zmq.Again):  # there is nobody to send to
        dealer.send_json({"op": "snapshot"}, zmq.NOBLOCK)
    assert not subscriber.poll(500)
    assert not dealer.poll(0)


def test_the_others_are_back_by_themselves_after_a_revocation(
    station: Guarded, context: zmq.Context
) -> None:
    subscriber = subscribe(context, station, station.client("mes"))
    other = station.client("other")
    assert subscriber.poll(LIMIT_S * 1000)
    assert subscriber.recv_multipart() == [WELCOME]
    until(lambda: station.door.admits(other.public_key, Domain.VERDICTS))
    station.keys.revoke("other")
    while subscriber.recv_multipart() != [WELCOME]:
        assert subscriber.poll(LIMIT_S * 1000), "not served again"


def test_requests_are_counted_to_a_key_however_many_connections_it_has(
    station: Guarded, context: zmq.Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One client leaves room for the others."""
    monkeypatch.setattr(ReplayServer, "_advance", lambda *_: False)  # none of them is ever done
    key = station.client("mes")
    first, second = (connect(context, zmq.DEALER, station.replay, key) for _ in range(2))
    everything = {"op": "replay", "epoch": 1, "from": 1, "to": 9}
    for _ in range(MAX_WAITING_OF_ONE):
        first.send_json(everything)
    assert ask(first, op="snapshot")["op"] == "snapshot"  # all are under way
    assert ask(second, **everything)["reason"] == "too many requests under way: ask later"
    other = connect(context, zmq.DEALER, station.replay, station.client("erp"))
    other.send_json(everything)
    assert ask(other, op="snapshot")["op"] == "snapshot"


def test_what_a_client_says_after_it_was_revoked_is_not_heard(
    station: Guarded, context: zmq.Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection lives on for a moment, and its requests were everybody's."""
    dealer = connect(context, zmq.DEALER, station.replay, station.client("mes"))
    assert ask(dealer, op="snapshot")["op"] == "snapshot"
    monkeypatch.setattr(station.door, "client_of", lambda _: None)
    dealer.send_json({"op": "ack", "client": "erp", "epoch": 1, "seq": 1})
    until(lambda: station.door.forbidden == 1)
    monkeypatch.undo()
    assert ask(dealer, op="snapshot", client="erp")["acknowledged"] is None


def test_nobody_acknowledges_for_another(station: Guarded, context: zmq.Context) -> None:
    dealer = connect(context, zmq.DEALER, station.replay, station.client("mes"))
    answer = ask(dealer, op="ack", client="erp", epoch=1, seq=1)
    assert answer == {"op": "error", "reason": "mes cannot acknowledge for erp"}
    assert ask(dealer, op="ack", client="mes", epoch=1, seq=1)["op"] == "ack"


COMMANDS: list[dict[str, Any]] = [
    {"op": "trigger", "part_id": "A17"},
    {"op": "select", "product_id": "tiny"},
    {"op": "start"},
    {"op": "stop"},
    {"op": "state"},
]


def refusal(desk: RequestSocket, peer: zmq.Socket, command: dict[str, Any]) -> str | None:
    """Why a command does not reach the line; None when it does."""
    asked: list[Any] = []

    def settled() -> bool:
        asked.extend(request for _, request in desk.receive(10))
        return bool(asked or peer.poll(0))

    peer.send_json(command)
    until(settled)
    if asked:
        return None
    answer: dict[str, str] = peer.recv_json()
    assert answer["op"] == "error"
    return answer["reason"]


@pytest.mark.parametrize(
    ("role", "lacks", "may"),
    [
        (Role.TRIGGER, "control", {"trigger", "state"}),
        (Role.CONTROL, "trigger", {"select", "start", "stop", "state"}),
    ],
)
def test_a_key_commands_what_its_role_allows_and_nothing_else(
    station: Guarded, context: zmq.Context, role: Role, lacks: str, may: set[str]
) -> None:
    """Whoever may trigger parts must not stop the line."""
    commands: TypeAdapter[Any] = TypeAdapter(Command)
    endpoint = free_endpoint()
    desk = RequestSocket(station.door, endpoint, Domain.COMMANDS, commands)
    peer = connect(context, zmq.DEALER, endpoint, station.client("plc", frozenset({role})))
    told = {command["op"]: refusal(desk, peer, command) for command in COMMANDS}
    assert {op for op, reason in told.items() if reason is None} == may
    for op in told.keys() - may:
        assert told[op] == f"plc may not {op}: it has not the role {lacks}"
    assert station.door.forbidden == len(COMMANDS) - len(may)


def test_whoever_comes_is_counted(door: Door) -> None:
    endpoint = free_endpoint()
    listener = door.open(zmq.ROUTER, endpoint, Domain.REPLAY)
    port = int(endpoint.rpartition(":")[2])
    for words in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\xff" + b"\0" * 8 + b"\x7f", os.urandom(200)):
        with socket.create_connection(("127.0.0.1", port)) as peer:
            peer.sendall(words)
    until(lambda: door.closed == 4)
    peer = door.context.socket(zmq.DEALER)
    peer.connect(endpoint)
    until(lambda: door.admitted == 1)
    assert (door.connections, listener.malformed) == (5, 0)


def test_what_a_web_page_posts_is_no_command(door: Door) -> None:
    """Read as ZMTP 1.0, a post ends in a whole message: here, wherever its body begins."""
    endpoint, request = free_endpoint(), b'{"op":"stop"}'
    commands: TypeAdapter[Any] = TypeAdapter(Command)
    desk = RequestSocket(door, endpoint, Domain.COMMANDS, commands)
    body = b"\1" * 300 + b"\2\0x" + bytes([len(request) + 1]) + b"\0" + request
    port = int(endpoint.rpartition(":")[2])
    for length in range(6):
        words = b"POST /%s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % (b"a" * length) + body
        browser = socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S)
        with browser, suppress(ConnectionError):
            browser.sendall(words)
            while browser.recv(100):  # until it is sent away
                pass
    peer = connect(door.context, zmq.DEALER, endpoint, None)
    peer.send_json({"op": "state"})
    asked: list[Any] = []

    def reached() -> bool:
        asked.extend(request for _, request in desk.receive(10))
        return bool(asked)

    until(reached)
    assert [request.op for request in asked] == ["state"]
    assert door.malformed == 0


def test_an_endpoint_that_cannot_be_bound_again_is_told(
    door: Door, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Another program had taken the port: the station said Ready, and nobody could hear it."""
    endpoint = free_endpoint()
    listener = door.open(zmq.XPUB, endpoint, Domain.VERDICTS)
    real = listener.socket
    taken = zmq.ZMQError(errno.EADDRINUSE)

    class Taken:
        """The port, in another program's hands as soon as it is let go of."""

        def unbind(self, _endpoint: str) -> None:
            real.unbind(endpoint)

        def bind(self, _endpoint: str) -> None:
            raise taken

    monkeypatch.setattr(listener, "socket", Taken())
    door.renewals += 1
    monkeypatch.setattr(door_module, "REBIND_S", LIMIT_S)
    listener.renew()
    assert not caplog.messages
    monkeypatch.setattr(door_module, "REBIND_S", 0.0)
    listener.renew()
    said = f"tried in vain to bind an endpoint again, 1 so far: {endpoint}: {taken.strerror}"
    assert caplog.messages == [said]
    monkeypatch.setattr(listener, "socket", real)
    peer = connect(door.context, zmq.SUB, endpoint, None)

    def heard_again() -> bool:
        listener.renew()
        return door.admitted == 1

    until(heard_again)
    peer.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_door_that_nobody_answers_for_is_not_alive(
    tmp_path: Path, context: zmq.Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is connected is served on, so nothing else would tell that nobody new gets in."""
    keys = KeyFolder(tmp_path / "keys")
    keys.make()
    keys.admit("mes", READ, tmp_path / "mes.key")
    door = Door(context, keys)
    endpoint = free_endpoint()
    door.open(zmq.ROUTER, endpoint, Domain.REPLAY)
    assert door.alive
    monkeypatch.delattr(Door, "admits")
    key = read_secret_file(tmp_path / "mes.key", ClientKey)
    peer = connect(context, zmq.DEALER, endpoint, key)
    until(lambda: not door.alive)
    peer.close()
    door.close()  # which waits for nobody
    assert not door.alive


def test_without_its_key_no_door_opens(tmp_path: Path, context: zmq.Context) -> None:
    with pytest.raises(InputError, match=r"station\.key: No such file"):
        Door(context, KeyFolder(tmp_path))
