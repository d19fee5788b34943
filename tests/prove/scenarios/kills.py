"""SIGKILL at random moments under 30 parts a second: one durable verdict for every part.

Every other station has a folder in memory, as a service has: each finds what its predecessor left.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import nullcontext

import zmq

from tests.agent.service.process import StationProcess, write_station
from tests.prove.judgement import judge
from tests.prove.scenario import Check, Work
from tests.prove.station import Driver, Follower, as_a_service, picture_folder, stored_verdicts

COUNT = 20
PARTS_A_SECOND = 30
LONGEST_LIFE_S = 1.5


def prove(work: Work) -> Iterator[Check]:
    pictures = picture_folder(work.folder)
    station_file = write_station(
        work.folder, {"uri": f"folder://{pictures}?rate=0&loop=true", "mode": "triggered"}
    )
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    accepted: set[str] = set()
    triggered: set[str] = set()
    follower: Follower | None = None
    try:
        for kill in range(work.count):
            service = as_a_service(work.folder / "run") if kill % 2 else nullcontext()
            with service, StationProcess(station_file) as station:
                if follower is None:
                    follower = Follower(station.publish).__enter__()
                driver = Driver(context, station.publish["commands"])
                end_s = time.monotonic() + work.chance.uniform(0, LONGEST_LIFE_S)
                part = 0
                while (now_s := time.monotonic()) < end_s:
                    driver.trigger(f"{kill}-{part}")
                    part += 1
                    driver.listen(min(1 / PARTS_A_SECOND, end_s - now_s))
                station.kill()
                driver.close()
            accepted |= driver.accepted
            triggered |= set(driver.triggered)
            if kill % 10 == 9:
                work.say(f"{kill + 1} kills, {len(triggered)} parts triggered")
        assert follower is not None
        heard = len(follower.beats)
        with StationProcess(station_file) as station:
            # What it answers for its predecessor is published first and durable a moment later.
            beats = follower.beats
            follower.wait_for(
                lambda: len(beats) > heard and beats[-1].durable_seq == beats[-1].last_seq, 30
            )
            stored = stored_verdicts(station.publish)
            last = max((verdict.epoch, verdict.seq) for verdict in stored)
            seen = follower.verdicts
            follower.wait_for(lambda: bool(seen) and (seen[-1].epoch, seen[-1].seq) >= last, 30)
        yield from judge(triggered, accepted, stored, follower)
    finally:
        if follower is not None:
            follower.__exit__(None, None, None)
        context.destroy(linger=0)
