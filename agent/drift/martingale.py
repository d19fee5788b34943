"""Betting against "nothing has changed": a test martingale with a bounded false alarm.

Each bet is a density on (0, 1) and multiplies its stake by the density at the p-value. Under
uniform p-values every stake keeps its expected value, so that the capital, which starts at 1,
reaches 100 with probability at most 1 % (Ville, 1939), whenever one looks. When scores have moved,
some bet grows exponentially.

A change may come at any time, so the capital is spread over the bets and over the times at which
they start: a share of it stays aside until its time comes, and what came before does not count for
it (the weighted form of the statistic of Shiryaev and Roberts). The shares fall as one over time:
an early change, when the calibration is put to use, is found sooner than one after months.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log
from statistics import NormalDist
from typing import Any

ALARM = 100.0
HORIZON = 1_000_000
# The likeliest time for a calibration to be wrong is its first use.
AT_ONCE = 0.25
EARLY = 100
NORMAL = NormalDist()


@dataclass(frozen=True)
class Bet:
    """That the scores, seen as standard normal, are shifted by `shift` and `widening` as wide.

    share: of the capital.
    """

    share: float
    shift: float
    widening: float = 1.0

    def log_density(self, z: Any) -> Any:
        """Logarithm of the bet's density over the standard normal's at z; float or array."""
        scaled = (z - self.shift) / self.widening
        return (z * z - scaled * scaled) / 2 - log(self.widening)


# The first bet is on what the monitor is made to find: a third of the scores' spread.
BETS = (
    Bet(0.35, 0.35),
    Bet(0.25, -0.35),
    Bet(0.12, 0.9),
    Bet(0.08, -0.9),
    Bet(0.04, 2.0),
    Bet(0.02, -2.0),
    Bet(0.04, 0.0, 1.5),
)
# On a majority of rejects, which leaves too few passing parts to compare: double or nothing at
# even odds, tempered. Holds while at most half of the parts in control are rejected.
REJECT_SHARE = 0.10
REJECT_FACTOR, PASS_FACTOR = 1.5, 0.5
# What the bets are known by: stakes in others mean something else.
TERMS = hashlib.sha256(
    repr((ALARM, HORIZON, AT_ONCE, EARLY, BETS, REJECT_SHARE, REJECT_FACTOR, PASS_FACTOR)).encode()
).hexdigest()[:12]


def start_share(part: int) -> float:
    """The share of the capital that starts betting at a part, counted from 0; all add up to 1."""
    if part >= HORIZON:
        return 0.0
    later = log((part + 1 + EARLY) / (part + EARLY)) / log((HORIZON + EARLY) / EARLY)
    return (1 - AT_ONCE) * later + AT_ONCE * (part == 0)


class Martingale:
    """The capital after a sequence of parts. Valid for HORIZON parts; then nothing new starts."""

    def __init__(
        self,
        *,
        parts: int = 0,
        aside: float = 1.0,
        stakes: Sequence[float] = (0.0,) * len(BETS),
        on_rejects: float = 0.0,
    ) -> None:
        """parts: taken in; the others: what is set aside, staked on each bet, and on rejects."""
        self.parts = parts
        self.aside = aside
        self.stakes = list(stakes)
        self.on_rejects = on_rejects

    @property
    def capital(self) -> float:
        """1 at the start, in expectation 1 as long as nothing has changed."""
        return self.aside + sum(self.stakes) + self.on_rejects

    def take(self, p_value: float | None) -> None:
        """Settle the bets on one part.

        Args:
            p_value: share of scores above this part's, in (0, 1); None for a rejected part.
        """
        share = start_share(self.parts)
        self.parts += 1
        self.aside = max(self.aside - share, 0.0)
        factor = REJECT_FACTOR if p_value is None else PASS_FACTOR
        self.on_rejects = (self.on_rejects + REJECT_SHARE * share) * factor
        z = None if p_value is None else NORMAL.inv_cdf(1 - p_value)
        for index, bet in enumerate(BETS):
            stake = self.stakes[index] + bet.share * share
            self.stakes[index] = stake if z is None else stake * exp(bet.log_density(z))

    @property
    def direction(self) -> str:
        """What the richest bet is on."""
        richest = max(range(len(BETS)), key=lambda index: self.stakes[index])
        if self.on_rejects > self.stakes[richest]:
            return "most parts are rejected"
        bet = BETS[richest]
        if bet.widening != 1:
            return "scores more spread"
        return "scores higher" if bet.shift > 0 else "scores lower"
