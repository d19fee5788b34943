"""With keys: strangers get nothing, a revoked client is cut off, no secret is to be seen."""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import yaml
import zmq
from pydantic import SecretStr

from agent.client import Position, Subscriber
from agent.client.connection import connect
from agent.keys import ClientKey, KeyFolder, Role
from agent.keys.files import read_secret_file
from agent.verdict import Verdict
from tests.agent.service.process import StationProcess, write_station
from tests.prove.scenario import Check, Work
from tests.prove.station import picture_folder

# Strangers, each at all three sockets.
COUNT = 30
LISTEN_S = 0.5
CUT_OFF_LIMIT_S = 3.0
ANSWER_S = 20.0
REQUESTS = {
    "verdicts": b"\x01",
    "replay": b'{"op":"snapshot"}',
    "commands": b'{"op":"stop"}',
}
KINDS = {"verdicts": zmq.XSUB, "replay": zmq.DEALER, "commands": zmq.DEALER}


def prove(work: Work) -> Iterator[Check]:
    pictures = picture_folder(work.folder)
    station_file = write_station(
        work.folder, {"uri": f"folder://{pictures}?rate=20&loop=true", "mode": "free_run"}
    )
    keys = KeyFolder(work.folder / "keys")
    keys.make()
    content = yaml.safe_load(station_file.read_text())
    station_file.write_text(yaml.safe_dump({**content, "keys": "keys"}))
    roles = {"mes": {Role.READ}, "plc": {Role.TRIGGER}, "hmi": {Role.READ, Role.CONTROL}}
    for name, may in roles.items():
        keys.admit(name, frozenset(may), work.folder / f"{name}.key")
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with StationProcess(station_file) as station:
        key_of = {name: read_secret_file(work.folder / f"{name}.key", ClientKey) for name in roles}
        yield from _listed(station, work.folder / "mes.key")
        yield from _strangers(context, station, key_of["mes"], work)
        yield from _roles(context, station, key_of)
        yield from _revoked(context, station, keys, key_of["mes"])
        yield from _secrets(work.folder, station)
    context.destroy(linger=0)


def _listed(station: StationProcess, key: Path) -> Iterator[Check]:
    publish = station.publish
    beginning = Position(0, 0)
    with Subscriber(publish["verdicts"], publish["replay"], position=beginning, key=key) as mes:
        until_s = time.monotonic() + ANSWER_S
        received = 0
        while received < 40 and time.monotonic() < until_s:
            received += isinstance(mes.receive(0.5), Verdict)
        yield Check(
            "a listed client receives every verdict, also those before it came",
            f"{received} verdicts, {mes.missed} missed",
            received >= 40 and mes.missed == 0,
        )


def _strangers(
    context: zmq.Context[zmq.Socket[bytes]],
    station: StationProcess,
    known: ClientKey,
    work: Work,
) -> Iterator[Check]:
    received = 0
    for number in range(work.count):
        key = _stranger(known, number)
        peers = [_try(context, station, name, key) for name in KINDS]
        time.sleep(LISTEN_S)
        for peer in peers:
            while peer.poll(0):
                received += sum(len(frame) for frame in peer.recv_multipart())
            peer.close(linger=0)
    yield Check(
        "who has no listed key gets 0 bytes",
        f"{received} bytes in {3 * work.count} connections: no key, unlisted key, other station",
        received == 0,
    )


def _stranger(known: ClientKey, number: int) -> ClientKey | None:
    public, secret = (each.decode() for each in zmq.curve_keypair())
    return [
        None,
        # The station's public key is no secret: only the list keeps this one out.
        known.model_copy(update={"public_key": public, "secret_key": SecretStr(secret)}),
        # A listed public key without its secret.
        known.model_copy(update={"secret_key": SecretStr(secret)}),
        known.model_copy(update={"station_key": public}),
    ][number % 4]


def _try(
    context: zmq.Context[zmq.Socket[bytes]],
    station: StationProcess,
    name: str,
    key: ClientKey | None,
) -> zmq.Socket[bytes]:
    peer = connect(context, KINDS[name], station.publish[name], key)
    with suppress(zmq.Again):
        peer.send(REQUESTS[name], zmq.NOBLOCK)
    return peer


def _roles(
    context: zmq.Context[zmq.Socket[bytes]],
    station: StationProcess,
    key_of: dict[str, ClientKey],
) -> Iterator[Check]:
    plc = _try(context, station, "commands", key_of["plc"])
    refused = json.loads(plc.recv()) if plc.poll(ANSWER_S * 1000) else {}
    hmi = connect(context, zmq.DEALER, station.publish["commands"], key_of["hmi"])
    hmi.send(b'{"op":"state"}')
    state = json.loads(hmi.recv()) if hmi.poll(ANSWER_S * 1000) else {}
    yield Check(
        "a key does what its roles say and no more",
        f"stop by a trigger key: {refused.get('reason')}; state: {state.get('state')}",
        refused.get("op") == "error" and state.get("state") == "ContinuousExecution",
    )
    plc.close(linger=0)
    hmi.close(linger=0)


def _revoked(
    context: zmq.Context[zmq.Socket[bytes]],
    station: StationProcess,
    keys: KeyFolder,
    key: ClientKey,
) -> Iterator[Check]:
    subscriber = connect(context, zmq.SUB, station.publish["verdicts"], key)
    subscriber.set(zmq.SUBSCRIBE, b"")
    alive = bool(subscriber.poll(ANSWER_S * 1000))
    began_s = last_s = time.monotonic()
    keys.revoke("mes")
    while time.monotonic() - began_s < CUT_OFF_LIMIT_S + 2:
        if subscriber.poll(100):
            subscriber.recv_multipart()
            last_s = time.monotonic()
    subscriber.close(linger=0)
    yield Check(
        "a revoked key loses its live connection",
        f"connected before: {alive}; last message {last_s - began_s:.2f} s after the revocation",
        alive and last_s - began_s < CUT_OFF_LIMIT_S,
    )


def _secrets(folder: Path, station: StationProcess) -> Iterator[Check]:
    files = [folder / "keys/station.key", *folder.glob("*.key")]
    open_files = [path.name for path in files if stat.S_IMODE(path.stat().st_mode) != 0o600]
    secrets = [json.loads(path.read_text())["secret_key"].encode() for path in files]
    elsewhere = [
        path.name
        for path in folder.rglob("*")
        if path.is_file() and path not in files and _holds(path, secrets)
    ]
    shown = any(secret.decode() in station.stderr() for secret in secrets)
    yield Check(
        "secrets are 0600, and in no log and no other file",
        f"{len(files)} secrets, {len(open_files)} open to others, shown in the log: {shown}, "
        f"in other files: {len(elsewhere)}",
        not open_files and not shown and not elsewhere,
    )


def _holds(path: Path, secrets: list[bytes]) -> bool:
    if not os.access(path, os.R_OK):
        return False
    content = path.read_bytes()
    return any(secret in content for secret in secrets)
