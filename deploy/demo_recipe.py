"""The recipe of the demo's bundle: render, train, export, calibrate on every runtime here.

`make demo-bundle` runs it; it replaces `agent/demo/flange.nlb` and the calibration records.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click

import agent.demo
from agent.demo.kit import BUNDLE, PRECISION
from agent.engine import installed_runtimes

KIT = Path(agent.demo.__file__).parent
PRESET, BUDGET, TUNING, PRODUCT, RATE = "edge-s", "20m", "5m", "flange", "1%"


@click.command()
@click.argument("work", type=click.Path(path_type=Path))
@click.option("--budget", default=BUDGET, show_default=True, help="Time to train.")
def main(work: Path, budget: str) -> None:
    """Make the demo's bundle and records, with WORK for images and the run."""
    parts, run, bundle = work / "parts", work / "run", KIT / BUNDLE
    _python("-m", "deploy.demo_parts", parts)
    _normline(
        "train",
        parts,
        "--out",
        run,
        "--preset",
        PRESET,
        "--product",
        PRODUCT,
        "--time-budget",
        budget,
    )
    _normline("export", run, "--out", bundle, "--finetune", TUNING)
    for runtime in installed_runtimes():
        _normline(
            "calibrate",
            bundle,
            parts / "calibration",
            "--false-reject-rate",
            RATE,
            "--runtime",
            runtime,
            "--precision",
            PRECISION,
            "--out",
            KIT / f"{runtime}.cal.json",
        )
    _normline("evaluate", bundle, parts)


def _normline(*arguments: str | Path) -> None:
    _python("-m", "agent", *arguments)


def _python(*arguments: str | Path) -> None:
    subprocess.run([sys.executable, *map(str, arguments)], check=True)


if __name__ == "__main__":
    main()
