"""The table says what was measured, what is known, and what is not."""

from __future__ import annotations

from training.benchmark.judge import Figures
from training.benchmark.published import published
from training.benchmark.table import benchmark_table

GOOD = Figures(image_auroc=0.99, pixel_auroc=0.98, aupro=0.9, pixel_ap=0.7, ms=5.0)
POOR = Figures(image_auroc=0.71, pixel_auroc=0.8, aupro=0.5, pixel_ap=0.1, ms=5.0)
MASKLESS = Figures(image_auroc=0.8, pixel_auroc=None, aupro=None, pixel_ap=None, ms=5.0)


def cells(table: str, label: str) -> list[str]:
    line = next(line for line in table.splitlines() if line.startswith(f"| {label} "))
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_figures_stand_beside_the_published_ones() -> None:
    known = published("MVTec-AD")
    table = benchmark_table("MVTec-AD", {"bottle": GOOD, "capsule": POOR}, 2, known)
    assert cells(table, "bottle") == ["99.0", "98.0", "90.0", "70.0", "-"]
    assert cells(table, "capsule") == ["71.0", "80.0", "50.0", "10.0", "93.9"]
    assert cells(table, "mean") == ["85.0", "89.0", "70.0", "40.0", ""]
    assert cells(table, "paper (arXiv 2303.08730)") == ["99.7", "98.7", "95.7", "76.1", ""]


def test_a_mean_over_some_categories_says_so() -> None:
    table = benchmark_table("VisA", {"candle": GOOD}, 12, published("VisA"))
    assert cells(table, "mean of 1 of 12")[0] == "99.0"
    assert cells(table, "paper, mean of MVTec-AD, VisA, DAGM and MPDD") == ["98.6", "-", "-", "-"]


def test_no_mean_where_a_category_lacks_the_figure() -> None:
    table = benchmark_table("folder", {"a": GOOD, "b": MASKLESS}, 2, published("folder"))
    assert cells(table, "mean") == ["89.5", "-", "-", "-"]
