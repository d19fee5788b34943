"""SIGKILL at random moments under 30 parts a second: one durable verdict for every part."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

import zmq

from agent.verdict import Reason, Verdict
from tests.agent.service.process import StationProcess, write_station
from tests.prove.scenario import Check, Work
from tests.prove.station import Driver, Follower, picture_folder, stored_verdicts

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
            with StationProcess(station_file) as station:
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
        yield from _judge(triggered, accepted, stored, follower)
    finally:
        if follower is not None:
            follower.__exit__(None, None, None)
        context.destroy(linger=0)


def _judge(
    triggered: set[str], accepted: set[str], stored: list[Verdict], follower: Follower
) -> Iterator[Check]:
    times = Counter(verdict.part_id for verdict in stored)
    without = [part for part in accepted if times[part] == 0]
    repeated = [part for part in triggered if times[part] > 1]
    interrupted = sum(verdict.reason is Reason.INTERRUPTED for verdict in stored)
    yield Check(
        "every accepted part has exactly one durable verdict",
        f"{len(accepted)} accepted, {len(without)} without, {len(repeated)} with more than one; "
        f"{interrupted} NO_DECISION(INTERRUPTED); {len(triggered) - len(accepted)} unheard",
        not without and not repeated,
    )
    seqs = [verdict.seq for verdict in stored]
    yield Check(
        "no sequence number is used again",
        f"{len(seqs)} stored, {len(seqs) - len(set(seqs))} repeated",
        len(seqs) == len(set(seqs)),
    )
    numbers = [(verdict.epoch, verdict.seq) for verdict in stored]
    holes = sum(
        after[0] == before[0] and after[1] != before[1] + 1
        for before, after in zip(numbers, numbers[1:], strict=False)
    )
    unseen = set(numbers) - {(verdict.epoch, verdict.seq) for verdict in follower.verdicts}
    gaps = len(follower.gaps)
    yield Check(
        "a subscriber through all of it misses nothing",
        f"{holes} holes in the journal, {gaps} gaps and {len(unseen)} verdicts unseen",
        not holes and not gaps and not unseen,
    )
    order = [(verdict.epoch, verdict.seq) for verdict in follower.verdicts]
    yield Check(
        "it receives all in order and nothing twice",
        f"{len(order)} received, {len(order) - len(set(order))} twice",
        order == sorted(set(order)),
    )
    durable = {(v.epoch, v.seq): v for v in stored}
    lost = [v for v in follower.verdicts if durable.get((v.epoch, v.seq)) != v]
    yield Check(
        "what was published is what is durable",
        f"{len(lost)} published verdicts are not in the journal as they were published",
        not lost,
    )
