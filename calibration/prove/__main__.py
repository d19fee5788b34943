"""`python -m calibration.prove`: coverage, power, and drift, on the demo's product."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from agent.bundle import open_bundle
from agent.camera import product
from agent.demo.kit import PRECISION, Kit
from agent.drift.martingale import ALARM
from agent.engine import load_engine
from agent.files import check_writable, write_atomically
from agent.inspection import inspect
from agent.view import View
from calibration.prove.coverage import coverage, simulated_pools
from calibration.prove.cross import cross_coverage
from calibration.prove.drift import Draw, alarm_after, highest_capitals, smoothed
from calibration.prove.power import power
from calibration.rates import percent

SEED = 4242
THIRD = 1 / 3


@click.command()
@click.option("--repeats", default=10_000, show_default=True, help="Calibrations to draw.")
@click.option("--normals", default=1000, show_default=True, help="Good parts to render and score.")
@click.option("--defects", default=600, show_default=True, help="Defective parts, likewise.")
@click.option("--streams", default=200, show_default=True, help="In-control streams.")
@click.option("--parts", default=1_000_000, show_default=True, help="Parts of each stream.")
@click.option("--delays", default=200, show_default=True, help="Changes to detect, of each kind.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write figures here.")
def main(
    repeats: int,
    normals: int,
    defects: int,
    streams: int,
    parts: int,
    delays: int,
    json_file: Path | None,
) -> None:
    """Check the promises of calibration by repetition."""
    if json_file is not None:
        check_writable(json_file)
    random = np.random.default_rng(SEED)
    good, bad = _scores(normals, 0.0), _scores(defects, 1.0)
    results: dict[str, Any] = {
        "coverage": _coverage(good, repeats, random),
        "cross": _cross(repeats, random),
        "power": _power(good, bad, repeats, random),
        "delay": _delay(good, delays, random),
        "false_alarms": _false_alarms(streams, parts, random),
    }
    if json_file is not None:
        write_atomically(json_file, (json.dumps(results, indent=1) + "\n").encode())


def _scores(count: int, defect_rate: float) -> NDArray[np.float64]:
    """Scores of rendered parts on the demo's engine, ascending."""
    kit = Kit()
    bundle = open_bundle(kit.bundle)
    engine = load_engine(bundle, runtime=kit.installed_runtime(), precision=PRECISION)
    view = View.of(bundle)
    scores = []
    with click.progressbar(range(count), label=f"scoring {count} parts") as indices:
        for index in indices:
            image, _ = product.render(SEED, index, defect_rate)
            scores.append(inspect(engine, view, view.canvas(image)).score)
    engine.close()
    return np.sort(scores)


def _coverage(good: NDArray[np.float64], repeats: int, random: Generator) -> list[dict[str, Any]]:
    click.echo(f"\ncoverage: {repeats} calibrations each; rate realised on the pool")
    pools = {f"{len(good)} engine scores": good, **simulated_pools(random)}
    rows = list(coverage(pools, repeats, random))
    click.echo(
        f"{'pool':26}{'n':>5} {'rate':>6}  {'reading':10}{'k':>4}"
        f"{'mean':>9}{'above':>8}{'exact':>8}"
    )
    for row in rows:
        reading = "expected" if row.confidence is None else percent(row.confidence)
        click.echo(
            f"{row.pool:26}{row.n:5} {percent(row.rate):>6}  {reading:10}{row.k:4}"
            f"{row.mean_rate:9.3%}{row.exceeded:8.1%}"
            f"{row.calculated:8.1%}{'' if row.kept else '  NOT KEPT'}"
        )
    return [asdict(row) for row in rows]


def _cross(repeats: int, random: Generator) -> list[dict[str, Any]]:
    click.echo("\ncross-conformal: a small model trained on few parts; mean rate on fresh ones")
    rows = [
        cross_coverage(images, folds, rate, repeats, random)
        for images, folds, rate in ((40, 5, 0.05), (60, 5, 0.05), (60, 10, 0.02))
    ]
    for row in rows:
        click.echo(
            f"{row.images} images, {row.folds:2} folds, about {percent(row.rate)} promised: "
            f"{row.realised:.2%}; by its own training parts: {row.naive:.2%}"
        )
    return [asdict(row) for row in rows]


def _power(
    good: NDArray[np.float64], bad: NDArray[np.float64], repeats: int, random: Generator
) -> list[dict[str, Any]]:
    click.echo(f"\npower: {len(bad)} rendered defects; missed by calibrations, and by the pool")
    rows = [power(good, bad, 300, 0.01, confidence, repeats, random) for confidence in (None, 0.95)]
    for row in rows:
        reading = "expected (default)" if row.confidence is None else percent(row.confidence)
        click.echo(
            f"n {row.n}, rate {percent(row.rate)}, {reading:18}: {row.missed:.2%} against "
            f"{row.missed_by_pool:.2%}, {row.more:+.1%}"
        )
    return [{**asdict(row), "more": row.more} for row in rows]


def _delay(good: NDArray[np.float64], delays: int, random: Generator) -> list[dict[str, Any]]:
    click.echo(f"\ndrift: parts from a change to the alarm, {delays} changes each")
    spread = float(good.std())
    between = float(np.subtract(*np.percentile(good, [75, 25])))
    pools: dict[str, tuple[Draw, float, float]] = {
        "engine scores": (smoothed(good, random), spread, between),
        "normal": (lambda count: random.normal(size=count), 1.0, 1.349),
    }
    results = []
    for name, (draw, deviation, quartiles) in pools.items():
        for n, after in ((300, 0), (300, 1000), (1000, 0), (1000, 10_000)):
            for words, shift in (
                ("1/3 standard deviation", THIRD * deviation),
                ("1/3 interquartile range", THIRD * quartiles),
            ):
                found = [alarm_after(draw, n, after, shift, random) for _ in range(delays)]
                early = sum(each <= 0 for each in found)
                low, middle, high = np.percentile(found, [10, 50, 90])
                click.echo(
                    f"{name:14} n {n:5}, after {after:6} parts, {words:24}: median {middle:5.0f} "
                    f"({low:.0f} to {high:.0f}){f', {early} too early' if early else ''}"
                )
                results.append(
                    {"scores": name, "n": n, "after": after, "shift": words, "parts": found}
                )
    return results


def _false_alarms(streams: int, parts: int, random: Generator) -> dict[str, Any]:
    click.echo(f"\ndrift: {streams} streams of {parts} parts in control, 10 % of them rejected")
    highest = highest_capitals(streams, parts, 0.1, random)
    alarms = int(np.count_nonzero(highest >= ALARM))
    click.echo(f"{alarms} alarms ({alarms / streams:.2%}), bound 1 %")
    return {"streams": streams, "parts": parts, "alarms": alarms}


if __name__ == "__main__":
    main()
