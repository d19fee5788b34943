"""The histogram of normal scores with the limits on it, as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

WIDTH, HEIGHT = 820, 266
LEFT, RIGHT, TOP, BOTTOM = 44, 16, 34, 46
MOST_BINS = 60
LABEL_GAP = 13


def histogram(scores: Sequence[float], limits: Sequence[tuple[str, float]]) -> str:
    """An SVG element.

    Args:
        scores: ascending.
        limits: (label, score), drawn as lines.
    """
    values = np.asarray(scores)
    ends = [float(values[0]), float(values[-1]), *(limit for _, limit in limits)]
    low, high = min(ends), max(ends)
    margin = 0.04 * (high - low) or 1.0
    low, high = low - margin, high + margin
    bins = int(min(MOST_BINS, max(10, 2 * np.sqrt(len(values)))))
    counts, edges = np.histogram(values, bins, (low, high))
    most = max(int(counts.max()), 1)

    def x(score: float) -> float:
        return LEFT + (score - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def y(count: float) -> float:
        return HEIGHT - BOTTOM - count / most * (HEIGHT - TOP - BOTTOM)

    bars = "".join(
        f'<rect class="bar" x="{x(left) + 0.5:.1f}" y="{y(count):.1f}" '
        f'width="{max(x(right) - x(left) - 1, 1):.1f}" height="{y(0) - y(count):.1f}">'
        f"<title>{count} parts from {left:.3f} to {right:.3f}</title></rect>"
        for count, left, right in zip(counts, edges, edges[1:], strict=False)
        if count
    )
    # Single parts of the tail are what the threshold hangs on; a bar of one is easily overlooked.
    marks = "".join(
        f'<line class="mark" x1="{x(score):.1f}" x2="{x(score):.1f}" y1="{y(0) + 1:.1f}" '
        f'y2="{y(0) + 6:.1f}"/>'
        for score in values
    )
    ticks = "".join(
        f'<text class="axis" x="{x(tick):.1f}" y="{HEIGHT - 22}" text-anchor="middle">'
        f"{tick:.4g}</text>"
        for tick in np.linspace(low + margin, high - margin, 6)
    )
    lines = "".join(_limit(x(score), label, row) for row, (label, score) in enumerate(limits))
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="histogram of normal scores">'
        f'<line class="base" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(0):.1f}" y2="{y(0):.1f}"/>'
        f'<text class="axis" x="{LEFT - 6}" y="{y(most) + 4:.1f}" text-anchor="end">{most}</text>'
        f'<text class="axis" x="{LEFT - 6}" y="{y(0) + 4:.1f}" text-anchor="end">0</text>'
        f"{bars}{marks}{ticks}{lines}"
        f'<text class="axis" x="{WIDTH / 2}" y="{HEIGHT - 5}" text-anchor="middle">'
        "score (logit); a tick for every normal part</text></svg>"
    )


def _limit(x: float, label: str, row: int) -> str:
    y = 12 + LABEL_GAP * row
    anchor, dx = ("end", -5) if x > WIDTH / 4 else ("start", 5)
    return (
        f'<line class="limit" x1="{x:.1f}" x2="{x:.1f}" y1="{y - 8}" y2="{HEIGHT - BOTTOM}"/>'
        f'<text class="label" x="{x + dx:.1f}" y="{y}" text-anchor="{anchor}">'
        f"{escape(label)}</text>"
    )
