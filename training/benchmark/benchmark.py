"""A whole benchmark, category by category; what is done is not done again."""

from __future__ import annotations

import hashlib
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
# Beside the figures: of the images and masks that they were taken on.
TEST_DIGEST = "test_digest"


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
        check_test_images(name, data.test)
    found: dict[str, Figures] = {}
    failed: list[InputError] = []
    table = ""
    for number, (name, data) in enumerate(wanted.items(), 1):
        say(f"{benchmark.name} {name} ({number} of {len(wanted)})")
        each = replace(order, out=order.out / name, product=name)
        try:
            model = trained_model(each, data.train_good, say)
            found[name] = _figures(each.out, data) or _judged(model, data, each, say)
        except InputError as error:
            # A night's run goes on with the next.
            if len(wanted) == 1:
                raise
            say(f"{name}: {error}")
            failed.append(error)
            continue
        table = benchmark_table(
            benchmark.name, found, len(benchmark.categories), published(benchmark.name)
        )
        replace_text(order.out / TABLE, table)
    if failed:
        rest = f"; the table of the others is {order.out / TABLE}" if found else ""
        raise InputError(
            f"{len(failed)} of {len(wanted)} categories have no figures, first: {failed[0]}{rest}"
        )
    return table


def _figures(run: Path, data: Dataset) -> Figures | None:
    """What was found before; None where nothing was, or on other test images or masks."""
    path = run / FIGURES
    if not path.is_file():
        return None
    fields = json.loads(path.read_text(encoding="utf-8"))
    if fields.pop(TEST_DIGEST, None) != _test_digest(data):
        return None
    return Figures(**fields)


def _test_digest(data: Dataset) -> str:
    digest = hashlib.sha256()
    for item in data.test:
        digest.update(f"{item.kind} {item.mask_level}\n".encode())
        for path in (item.path, item.mask_path):
            try:
                digest.update(path.read_bytes() if path else b"none")
            except OSError as error:
                raise InputError(f"cannot read {path}: {error.strerror}") from error
    return digest.hexdigest()


def _judged(model: DiffusionAD, data: Dataset, order: Order, say: Callable[[str], None]) -> Figures:
    settings = read_settings(order.out)
    device = next(model.parameters()).device
    inspector = FixedNoise(model, order.input_size, settings.noise_seed).eval().to(device)
    figures = judge(inspector, data, load_view(order.out, settings), say)
    fields = {**asdict(figures), TEST_DIGEST: _test_digest(data)}
    replace_text(order.out / FIGURES, json.dumps(fields) + "\n")
    return figures
