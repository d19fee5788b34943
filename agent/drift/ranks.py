"""Ranks of new scores among all before them, in constant memory.

The calibration's scores cut the axis into gaps. While new scores are exchangeable with them, the
gap of the next one is drawn as from an urn: with probability proportional to one plus the number
of new scores that the gap holds already (Polya's urn; the rank of the next among exchangeable
scores is uniform). Its place in that predictive distribution, drawn uniformly within the gap, is a
p-value; successive ones are independent and uniform, however few the calibration scores are. A
p-value against the fixed calibration sample alone is not: over a million parts, its error would
show as drift.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import numpy as np
from numpy.random import Generator


class Ranks:
    """Counts new scores between calibration scores."""

    def __init__(
        self, scores: Sequence[float], random: Generator, counts: Sequence[int] | None = None
    ) -> None:
        """scores: of the calibration, ascending; random: draws the places within gaps; counts: of
        former new scores, as `counts` has them."""
        self._edges = list(scores)
        ones = np.ones(len(self._edges) + 1)
        self._counts = ones if counts is None else np.array(counts, np.float64)
        self._total = float(self._counts.sum())
        self._random = random

    @property
    def counts(self) -> list[int]:
        """One plus the number of new scores in each gap, lowest first."""
        found: list[int] = self._counts.astype(int).tolist()
        return found

    def p_value(self, score: float) -> float:
        """The share of scores so far above a new one, in (0, 1); then the new one counts too."""
        # A score that equals calibration scores may belong to any gap beside them.
        first, last = bisect_left(self._edges, score), bisect_right(self._edges, score)
        gap = first if first == last else int(self._random.integers(first, last + 1))
        above = float(self._counts[gap + 1 :].sum())
        # 1 - random(): never 0, which no bet could survive.
        place = 1 - self._random.random()
        p_value = (above + place * float(self._counts[gap])) / self._total
        self._counts[gap] += 1
        self._total += 1
        return min(p_value, 1 - 1e-12)
