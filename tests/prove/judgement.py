"""What must hold of the verdicts of a station that was ended and started again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from agent.verdict import Reason, Verdict
from tests.prove.scenario import Check
from tests.prove.station import Follower


def judge(
    triggered: set[str], accepted: set[str], stored: list[Verdict], follower: Follower
) -> Iterator[Check]:
    """Of the parts that were triggered and accepted: what is stored, and what was followed."""
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
