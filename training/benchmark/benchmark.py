"""A whole benchmark, category by category; what is done is not done again."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace

from training.benchmark.judge import Figures, check_test_images, judge
from training.benchmark.kept import digest_of_test, figures_in, of_test, read_kept
from training.benchmark.layouts import Benchmark
from training.benchmark.models import is_trained, trained_model
from training.benchmark.published import published
from training.benchmark.table import benchmark_table
from training.dataset import Dataset, check_masks
from training.errors import InputError
from training.files import replace_text
from training.model import DiffusionAD, FixedNoise
from training.order import Order
from training.presets import preset
from training.run import load_view, read_settings

FIGURES, TABLE = "figures.json", "table.md"


def run_benchmark(
    benchmark: Benchmark, categories: list[str], order: Order, say: Callable[[str], None]
) -> str:
    """Train and judge a model for each category below `order.out`; returns the table.

    `order.out` holds a run for each category with `figures.json` in it, and `table.md`, written
    anew after every category: of all whose figures hold, also of those that are not asked for.
    """
    if unknown := [name for name in categories if name not in benchmark.categories]:
        raise InputError(
            f"{benchmark.name} has no category {unknown[0]!r} here: it has "
            f"{', '.join(benchmark.categories)}"
        )
    wanted = {name: benchmark.categories[name]() for name in categories or benchmark.categories}
    for name, data in wanted.items():
        check_test_images(name, data.test)
        check_masks(data.test)
    found = _held(benchmark, order)
    failed: list[InputError] = []
    table = ""
    for number, (name, data) in enumerate(wanted.items(), 1):
        say(f"{benchmark.name} {name} ({number} of {len(wanted)})")
        each = replace(order, out=order.out / name, product=name)
        try:
            model = trained_model(each, data.train_good, say)
            found[name] = found.get(name) or _judged(model, data, each, say)
        except InputError as error:
            # A night's run goes on with the next.
            if len(wanted) == 1:
                raise
            say(f"{name}: {error}")
            failed.append(error)
            found.pop(name, None)
            continue
        rows = {each: found[each] for each in benchmark.categories if each in found}
        table = benchmark_table(
            benchmark.name, rows, len(benchmark.categories), published(benchmark.name)
        )
        replace_text(order.out / TABLE, table)
    if failed:
        rest = f"; the table of the others is {order.out / TABLE}" if table else ""
        raise InputError(
            f"{len(failed)} of {len(wanted)} categories have no figures, first: {failed[0]}{rest}"
        )
    return table


def _held(benchmark: Benchmark, order: Order) -> dict[str, Figures]:
    """What was found before, of models of this order, on the images and masks that are there."""
    held = {}
    for name, read in benchmark.categories.items():
        each = replace(order, out=order.out / name)
        if not (kept := read_kept(each.out / FIGURES)):
            continue
        with suppress(InputError):
            data = read()
            if is_trained(each, data.train_good, preset(order.preset)):
                figures = figures_in(kept, of_test(digest_of_test(data)))
                if figures is not None:
                    held[name] = figures
    return held


def _judged(model: DiffusionAD, data: Dataset, order: Order, say: Callable[[str], None]) -> Figures:
    settings = read_settings(order.out)
    device = next(model.parameters()).device
    inspector = FixedNoise(model, order.input_size, settings.noise_seed).eval().to(device)
    figures = judge(inspector, data, load_view(order.out, settings), say)
    fields = {**asdict(figures), **of_test(digest_of_test(data))}
    replace_text(order.out / FIGURES, json.dumps(fields) + "\n")
    return figures
