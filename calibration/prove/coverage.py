"""Does the realised false-reject rate keep the promised one, over many calibrations?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from agent.errors import InputError
from calibration.threshold import at_least, rank, supported_rate

SIZES = (50, 100, 300, 1000)
RATES = (0.05, 0.01, 0.003)
CONFIDENCE = 0.95
POOL = 1_000_000

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Coverage:
    """One pool, one n, one rate, one reading of the promise.

    mean_rate: realised, over the calibrations, and its standard error; exceeded: share of them
    whose realised rate is above the promised one.
    """

    pool: str
    n: int
    rate: float
    confidence: float | None
    k: int
    mean_rate: float
    standard_error: float
    repeats: int
    exceeded: float

    @property
    def calculated(self) -> float:
        """What `exceeded` would be over endless calibrations, for scores that never tie."""
        return 1 - at_least(self.n, self.rate, self.k)

    @property
    def kept(self) -> bool:
        """Whether the promise held, up to three standard errors of the repetition."""
        if self.confidence is None:
            return self.mean_rate <= self.rate + 3 * self.standard_error
        chance = 1 - self.confidence
        return self.exceeded <= chance + 3 * np.sqrt(chance * (1 - chance) / self.repeats)


def simulated_pools(random: Generator) -> dict[str, Scores]:
    """A million scores of each of some shapes, sorted."""
    shapes = {
        "normal": random.normal(size=POOL),
        "log-normal": random.lognormal(0, 1, POOL),
        "heavy tail (t, 3 d.o.f.)": random.standard_t(3, POOL),
        "two kinds of parts": np.where(
            random.random(POOL) < 0.03, random.normal(3, 0.5, POOL), random.normal(size=POOL)
        ),
    }
    return {name: np.sort(scores) for name, scores in shapes.items()}


def realised(pool: Scores, n: int, k: int, repeats: int, random: Generator) -> Scores:
    """Share of the pool above the k-th largest of n scores drawn from it, for each repetition.

    pool: ascending; the population, so that its share above is the true rate.
    """
    drawn = random.choice(pool, (repeats, n))
    thresholds = np.partition(drawn, n - k, axis=1)[:, n - k]
    # Counted first: in floats, 1 - 0.99 is more than 0.01.
    return (len(pool) - np.searchsorted(pool, thresholds, side="right")) / len(pool)


def coverage(pools: dict[str, Scores], repeats: int, random: Generator) -> Iterator[Coverage]:
    """Every n and rate that n supports, for both readings."""
    for name, pool in pools.items():
        for n in SIZES:
            for rate in RATES:
                for confidence in (None, CONFIDENCE):
                    try:
                        k = rank(n, rate, confidence)
                    except InputError:
                        continue  # n does not support the rate
                    rates = realised(pool, n, k, repeats, random)
                    assert supported_rate(n, k, confidence) <= rate + 1e-9
                    yield Coverage(
                        name,
                        n,
                        rate,
                        confidence,
                        k,
                        float(rates.mean()),
                        float(rates.std() / np.sqrt(repeats)),
                        repeats,
                        float(np.mean(rates > rate)),
                    )
