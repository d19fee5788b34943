"""The drift monitor: how often it is wrong when nothing changes, how soon it is right."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from agent.drift.martingale import (
    ALARM,
    BETS,
    PASS_FACTOR,
    REJECT_FACTOR,
    REJECT_SHARE,
    Martingale,
    start_share,
)
from agent.drift.ranks import Ranks
from calibration.threshold import rank

RATE = 0.01
GIVES_UP = 3000

Draw = Callable[[int], NDArray[np.float64]]


def highest_capitals(
    streams: int, parts: int, reject_rate: float, random: Generator
) -> NDArray[np.float64]:
    """The highest capital of each of many streams in which nothing ever changes.

    The rules of `agent.drift.martingale.Martingale`, for all streams at once. While nothing
    changes its p-values are uniform and independent, whatever the scores are.
    """
    stakes = np.zeros((len(BETS), streams))
    on_rejects = np.zeros(streams)
    highest = np.ones(streams)
    aside = 1.0
    shares = np.array([bet.share for bet in BETS])[:, None]
    for part in range(parts):
        share = start_share(part)
        aside -= share
        z = random.standard_normal(streams, dtype=np.float32)
        rejected = random.random(streams, dtype=np.float32) < reject_rate
        densities = np.exp(np.stack([bet.log_density(z) for bet in BETS]))
        stakes += shares * share
        stakes *= np.where(rejected, 1.0, densities)
        on_rejects += REJECT_SHARE * share
        on_rejects *= np.where(rejected, REJECT_FACTOR, PASS_FACTOR)
        np.maximum(highest, aside + stakes.sum(axis=0) + on_rejects, out=highest)
    return highest


def alarm_after(
    draw: Draw, n: int, change: int, shift: float, random: Generator, most: int = GIVES_UP
) -> int:
    """Parts from a change to the alarm, through the monitor's own ranks and bets.

    Args:
        draw: gives so many normal scores.
        n: of the calibration, at a rate of 1 %.
        change: parts in control before it.
        shift: added to every score from there on.
        random: for the ranks.
        most: give up after so many.

    Returns:
        Negative for an alarm before the change.
    """
    scores = np.sort(draw(n))
    k = rank(n, RATE)
    threshold = scores[n - k]
    ranks = Ranks(scores[: n - k].tolist(), random)
    martingale = Martingale()
    stream = draw(change + most)
    stream[change:] += shift
    for part, score in enumerate(stream.tolist()):
        martingale.take(ranks.p_value(score) if score <= threshold else None)
        if martingale.capital >= ALARM:
            return part - change + 1
    return most


def smoothed(pool: NDArray[np.float64], random: Generator) -> Draw:
    """Draws from real scores, each blurred by a fraction of their spread, so that none ties."""
    width = 0.1 * float(pool.std())
    return lambda count: random.choice(pool, count) + random.normal(0, width, count)
