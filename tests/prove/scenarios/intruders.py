"""Malformed messages on every socket of a station at work: no crash, no change, all counted."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import zmq

from agent.messaging.status import Heartbeat
from tests.agent.service.process import StationProcess, write_station
from tests.prove import malformed
from tests.prove.scenario import Check, Work
from tests.prove.station import Driver, Follower, picture_folder

# To each of the three sockets; and of raw connections to each, a hundredth of that.
COUNT = 5000
CONNECTIONS_SHARE = 100
HALF_OPEN_AT_ONCE = 50
# Longer than the station waits for a handshake.
HALF_OPEN_S = 3.0
PARTS_A_SECOND = 20
OPEN_AT_ONCE = 4
SETTLE_S = 60.0


def prove(work: Work) -> Iterator[Check]:
    pictures = picture_folder(work.folder)
    station_file = write_station(
        work.folder,
        {
            "uri": f"folder://{pictures}?rate=0&loop=true",
            "mode": "triggered",
            "deadline_ms": 60_000.0,
        },
    )
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with StationProcess(station_file) as station, Follower(station.publish) as follower:
        driver = Driver(context, station.publish["commands"])
        follower.wait_for(lambda: bool(follower.beats), SETTLE_S)
        first = follower.beats[-1]
        kept: list[socket.socket] = []
        intruders = [
            threading.Thread(target=each, daemon=True)
            for each in _intruders(context, station.publish, work, kept)
        ]
        for each in intruders:
            each.start()
        parts = 0
        while any(each.is_alive() for each in intruders):
            # As a PLC does, it leaves few parts without a verdict.
            if parts - len(follower.by_part) < OPEN_AT_ONCE:
                driver.trigger(f"good-{parts}")
                parts += 1
            driver.listen(1 / PARTS_A_SECOND)
            if parts % (20 * PARTS_A_SECOND) == 0:
                work.say(f"{follower.beats[-1].malformed} malformed messages counted")
        answered = driver.settle(SETTLE_S)
        raw = 3 * max(1, work.count // CONNECTIONS_SHARE)
        follower.wait_for(lambda: _settled(follower.beats[-1], first, work.count, raw), SETTLE_S)
        last = follower.beats[-1]
        follower.wait_for(lambda: driver.accepted <= follower.by_part.keys(), SETTLE_S)
        yield Check(
            "no crash",
            f"epoch {first.epoch} before, {last.epoch} after; exit code {station.exit_code}",
            first.epoch == last.epoch and station.exit_code is None,
        )
        counted = last.malformed - first.malformed
        yield Check(
            "every malformed message is counted",
            f"{3 * work.count} sent, {counted} counted",
            counted == 3 * work.count,
        )
        came = last.connections - first.connections
        # The intruders' own three sockets come as peers.
        yield Check(
            "every raw connection is counted, and ended",
            f"{raw} raw connections, {came} counted, {came - 3} of them not the intruders' peers; "
            f"{last.closed - first.closed} ended",
            came >= raw + 3 and last.closed - first.closed >= raw,
        )
        yield from _judge_line(driver, follower, answered, parts)
        yield Check(
            "nothing of it in the log but warnings",
            f"{station.stderr().count('Traceback')} tracebacks",
            "Traceback" not in station.stderr(),
        )
        driver.close()
        for peer in kept:
            peer.close()
    context.destroy(linger=0)


def _judge_line(driver: Driver, follower: Follower, answered: bool, parts: int) -> Iterator[Check]:
    foreign = [v.part_id for v in follower.verdicts if v.part_id not in driver.triggered]
    without = [part for part in driver.accepted if len(follower.by_part[part]) != 1]
    undecided = [v for v in follower.verdicts if v.reason is not None]
    yield Check(
        "the line works on: every part of the good peer gets one verdict, nobody else any",
        f"{parts} parts, {len(driver.accepted)} accepted, {len(without)} without one verdict, "
        f"{len(undecided)} NO_DECISION, {len(foreign)} verdicts on other parts",
        answered and not without and not foreign and not undecided,
    )
    states = {beat.state.value for beat in follower.beats}
    yield Check(
        "no change of state",
        f"states {', '.join(sorted(states))}",
        states <= {"Ready", "SingleExecution"},
    )


def _settled(now: Heartbeat, first: Heartbeat, count: int, raw: int) -> bool:
    return now.malformed - first.malformed >= 3 * count and now.closed - first.closed >= raw


def _intruders(
    context: zmq.Context[zmq.Socket[bytes]],
    publish: dict[str, str],
    work: Work,
    kept: list[socket.socket],
) -> list[Callable[[], None]]:
    seeds = [work.chance.randrange(2**32) for _ in range(4)]

    def flood_router(endpoint: str, seed: int) -> None:
        chance = random.Random(seed)
        with context.socket(zmq.DEALER) as peer:
            peer.connect(endpoint)
            for _ in range(work.count):
                peer.send_multipart(malformed.request(chance))
                while peer.poll(0):
                    peer.recv_multipart()
            # Closed only when the station has answered all: what lies in a closed socket is lost.
            _drain(peer)

    def flood_publisher() -> None:
        # By hand: an XSUB socket drops what it cannot send at once.
        chance = random.Random(seeds[2])
        peer = socket.create_connection(_address(publish["verdicts"]))
        # What was sent is read only as long as its sender stays.
        kept.append(peer)
        peer.sendall(malformed.handshake(b"XSUB"))
        heard = b""
        while b"READY" not in heard:  # what is said earlier ends the handshake
            heard += peer.recv(1000)
        for number in range(work.count):
            peer.sendall(malformed.frame(malformed.subscription(chance, number)))

    def break_in() -> None:
        chance = random.Random(seeds[3])
        for endpoint in publish.values():
            open_ones: list[socket.socket] = []
            for _ in range(max(1, work.count // CONNECTIONS_SHARE)):
                peer = socket.create_connection(_address(endpoint))
                with suppress(OSError):  # it may be sent away before it has said all
                    peer.sendall(malformed.stream(chance))
                open_ones.append(peer)
                if len(open_ones) == HALF_OPEN_AT_ONCE:
                    _hold(open_ones)
            _hold(open_ones)

    return [
        lambda: flood_router(publish["replay"], seeds[0]),
        lambda: flood_router(publish["commands"], seeds[1]),
        flood_publisher,
        break_in,
    ]


def _address(endpoint: str) -> tuple[str, int]:
    return "127.0.0.1", int(endpoint.rpartition(":")[2])


def _drain(peer: zmq.Socket[bytes]) -> None:
    while peer.poll(2000):
        peer.recv_multipart()


def _hold(peers: list[socket.socket]) -> None:
    """Say nothing more for longer than a station waits, then close."""
    time.sleep(HALF_OPEN_S)
    while peers:
        peers.pop().close()
