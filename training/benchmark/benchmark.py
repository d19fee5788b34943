"""A whole benchmark, category by category; what is done is not done again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from training.benchmark.judge import Figures, check_test_images, judge
from training.benchmark.layouts import Benchmark
from training.benchmark.models import trained_model
from training.benchmark.published import published
from training.benchmark.table import benchmark_table
from training.dataset import Dataset
from training.errors import InputError
from training.files import replace_text
from training.model import DiffusionAD, FixedNoise
from training.order import Order
from training.run import load_view, read_settings

FIGURES, TABLE = "figures.json", "table.md"


def run_benchmark(
    benchmark: Benchmark, categories: list[str], order: Order, say: Callable[[str], None]
) -> str:
    """Train and judge a model for each category below `order.out`; returns the table.

    `order.out` holds a run for each category with `figures.json` in it, and `table.md`, written
    anew after every category.
    """
    if unknown := [name for name in categories if name not in benchmark.categories]:
        raise InputError(
            f"{benchmark.name} has no category {unknown[0]!r} here: it has "
            f"{', '.join(benchmark.categories)}"
        )
    wanted = {name: benchmark.categories[name]() for name in categories or benchmark.categories}
    for name, data in wanted.items():
        check_test_images(name, data)
    found: dict[str, Figures] = {}
    for number, (name, data) in enumerate(wanted.items(), 1):
        say(f"{benchmark.name} {name} ({number} of {len(wanted)})")
        each = replace(order, out=order.out / name, product=name, resume=True)
        model = trained_model(each, data.train_good, say)
        found[name] = _figures(each.out) or _judged(model, data, each, say)
        table = benchmark_table(
            benchmark.name, found, len(benchmark.categories), published(benchmark.name)
        )
        replace_text(order.out / TABLE, table)
    return table


def _figures(run: Path) -> Figures | None:
    path = run / FIGURES
    if not path.is_file():
        return None
    return Figures(**json.loads(path.read_text(encoding="utf-8")))


def _judged(model: DiffusionAD, data: Dataset, order: Order, say: Callable[[str], None]) -> Figures:
    settings = read_settings(order.out)
    device = next(model.parameters()).device
    inspector = FixedNoise(model, order.input_size, settings.noise_seed).eval().to(device)
    figures = judge(inspector, data, load_view(order.out, settings), say)
    replace_text(order.out / FIGURES, json.dumps(asdict(figures)) + "\n")
    return figures
