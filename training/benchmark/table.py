"""The table of a whole benchmark, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from training.benchmark.judge import Figures
from training.benchmark.published import Published

COLUMNS = ("image AUROC", "pixel AUROC", "AUPRO", "pixel AP")


def benchmark_table(
    name: str, figures: Mapping[str, Figures], total: int, known: Sequence[Published]
) -> str:
    """Figures in percent by category, their mean, and what is published beside them.

    total: how many categories the benchmark has; a mean over fewer says so.
    """
    single = {category: value for source in known for category, value in source.image_auroc_of}
    extra = ("image AUROC, re-run",) if single else ()
    rows = [
        [category, *cells(row), *((_percent(single.get(category)),) if extra else ())]
        for category, row in figures.items()
    ]
    if figures:
        label = "mean" if len(figures) == total else f"mean of {len(figures)} of {total}"
        rows.append([label, *_means(list(figures.values())), *("" for _ in extra)])
    for source in known:
        percent = (source.image_auroc, source.pixel_auroc, source.aupro, source.pixel_ap)
        rows.append([source.source, *map(_percent, percent), *("" for _ in extra)])
    return markdown([name, *COLUMNS, *extra], rows)


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, its columns aligned for reading as plain text too."""
    table = [list(header), *map(list, rows)]
    widths = [max(len(line[column]) for line in table) for column in range(len(header))]
    lines = [
        "| " + " | ".join(_fit(cell, width, index) for index, (cell, width) in pairs) + " |"
        for pairs in (enumerate(zip(line, widths, strict=True)) for line in table)
    ]
    rule = "|" + "|".join("-" * (w + 1) + (":" if i else "-") for i, w in enumerate(widths)) + "|"
    return "\n".join([lines[0], rule, *lines[1:]]) + "\n"


def _fit(cell: str, width: int, column: int) -> str:
    return cell.rjust(width) if column else cell.ljust(width)


def cells(row: Figures) -> list[str]:
    """The four figures in percent, in the order of `COLUMNS`."""
    found = (row.image_auroc, row.pixel_auroc, row.aupro, row.pixel_ap)
    return [_percent(None if value is None else 100 * value) for value in found]


def _means(rows: Sequence[Figures]) -> list[str]:
    """Over the categories that have the figure, where all of them do."""
    columns = zip(*((r.image_auroc, r.pixel_auroc, r.aupro, r.pixel_ap) for r in rows), strict=True)
    means = []
    for column in columns:
        there = [value for value in column if value is not None]
        means.append(_percent(100 * fmean(there) if len(there) == len(rows) else None))
    return means


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
