"""`python -m tests.prove`: run scenarios, show a table of what was measured."""

from __future__ import annotations

import json
import random
import signal
import sys
import tempfile
import time
import traceback
from dataclasses import asdict
from pathlib import Path

import click

from tests.prove.scenario import Check, Scenario, Work, find_scenarios


@click.command()
@click.argument("chosen", nargs=-1, metavar="[NAME[:COUNT]]...")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write results here.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep stations and journals here; a soak that was stopped goes on from it.",
)
@click.option("--seed", default=1, show_default=True, help="Of the random moments.")
@click.option(
    "--station",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Time this station (of a folder:// camera) in `latency` and `engine`, not the demo's.",
)
def main(
    chosen: tuple[str, ...],
    json_path: Path | None,
    folder: Path | None,
    seed: int,
    station: Path | None,
) -> None:
    """Damage real stations and see what holds.

    \b
    Scenarios, with how many kills, parts or messages they make unless told NAME:COUNT:
    {scenarios}

    \b
    Example:
      python -m tests.prove
      python -m tests.prove kills:200 soak:1000000 --folder /tmp/proof --json proof.json
    """
    plan = _plan(chosen)
    # Ended like by Ctrl-C: stations that are left would run on.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="normline-prove-") as temporary:
        base = (folder or Path(temporary)).resolve()  # cameras are named by absolute paths
        results = [
            _run(scenario, Work(base / scenario.name, count, random.Random(seed), _say, station))
            for scenario, count in plan
        ]
    if json_path is not None:
        json_path.parent.mkdir(parents=True, exist_ok=True)
        json_path.write_text(json.dumps(results, indent=1) + "\n")
    _show(results)
    sys.exit(0 if all(check["ok"] for result in results for check in result["checks"]) else 1)


def _plan(chosen: tuple[str, ...]) -> list[tuple[Scenario, int]]:
    known = find_scenarios()
    plan = []
    for text in chosen or known:
        name, _, count = text.partition(":")
        if name not in known or (count and not count.isdecimal()):
            raise click.UsageError(f"{text}: expected NAME or NAME:COUNT of {', '.join(known)}")
        plan.append((known[name], int(count or known[name].count)))
    return plan


def _say(line: str) -> None:
    click.echo(f"  {line}", err=True)


def _run(scenario: Scenario, work: Work) -> dict[str, object]:
    click.echo(f"{scenario.name}: {scenario.title} ({work.count})", err=True)
    work.folder.mkdir(parents=True, exist_ok=True)
    began_s = time.monotonic()
    checks = []
    try:
        for check in scenario.prove(work):
            _say(f"{'holds' if check.ok else 'FAILS'}: {check.goal}: {check.measured}")
            checks.append(check)
    except Exception as error:  # One scenario that breaks leaves the others to be run.
        traceback.print_exc()
        checks.append(Check("the scenario runs to its end", repr(error), False))
    return {
        "scenario": scenario.name,
        "count": work.count,
        "seconds": round(time.monotonic() - began_s, 1),
        "checks": [asdict(check) for check in checks],
    }


def _show(results: list[dict[str, object]]) -> None:
    rows = [("", "scenario", "goal", "measured")]
    for result in results:
        for check in result["checks"]:  # type: ignore[attr-defined]
            word = "ok" if check["ok"] else "FAIL"
            scenario = f"{result['scenario']} ({result['count']})"
            rows.append((word, scenario, check["goal"], check["measured"]))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        left = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False))
        click.echo(f"{left}  {row[3]}")


if __name__ == "__main__":
    main.help = (main.help or "").format(
        scenarios="\n    ".join(
            f"  {each.name:<12} {each.count:>8}  {each.title}" for each in find_scenarios().values()
        )
    )
    main()
