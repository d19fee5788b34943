"""`normline demo`: see the whole line inspect parts, with nothing but what is installed."""

from __future__ import annotations

import signal
import sys
import tempfile
from pathlib import Path

import click

from agent.config import Publish
from agent.demo.display import summary_text, verdict_line
from agent.demo.kit import PRECISION, Kit, check_keepable, free_endpoints, write_station
from agent.demo.line import DemoLine, LineStopped
from agent.demo.summary import Tally
from agent.engine.base import ALL_LEVELS
from agent.engine.unsigned import levels
from agent.files import check_writable, write_atomically
from agent.record import read_record
from agent.signals import on_end, own_handlers

# Parts that pass after the last one that is shown. They give the subscriber the time to fetch
# what it missed, and end a line whose demo was killed.
SPARE_PARTS = 300
INTERRUPTED = 130


@click.command(short_help="see the whole line inspect rendered parts")
@click.option(
    "--parts",
    type=click.IntRange(min=1),
    default=300,
    show_default=True,
    help="How many parts to inspect.",
)
@click.option(
    "--keep",
    type=click.Path(path_type=Path),
    help="Leave the station file, bundle and calibration in this new or empty folder.",
)
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), help="Write the summary to this file."
)
def demo(parts: int, keep: Path | None, json_file: Path | None) -> None:
    """Run a station on rendered flanges and follow it.

    A camera that renders parts, the shipped model and calibration, the real service and a
    subscriber, each in its own process. Every verdict is shown beside the truth, which only the
    renderer knows; at the end stands what they amount to. The exit code is 0 when the verdict on
    every part arrived.

    \b
    Example:
      normline demo
      normline demo --parts 50 --keep station --json summary.json
      normline run station/station.yaml
    """
    sys.exit(run_demo(Kit(), parts, keep, json_file))


def run_demo(kit: Kit, parts: int, keep: Path | None, json_file: Path | None) -> int:
    """Run the demo on a kit; see the command's help.

    Returns:
        The exit code: 0, or 1 when verdicts are missing, or 130 when interrupted.

    Raises:
        InputError: the demo cannot run, or its files cannot be written.
    """
    runtime = kit.installed_runtime()
    if levels("CPU", PRECISION) != ALL_LEVELS:
        click.echo("INT8 is coarser on this processor than where the demo's limit was taken")
    tally = Tally(parts, read_record(kit.record(runtime)))
    if json_file is not None:
        check_writable(json_file)
    if keep is not None:
        check_keepable(keep)
        usual = Publish.model_validate({})
        station = write_station(keep, kit, runtime, usual, parts=None)
        click.echo(f"kept: {station}; run it with: normline run {station}")
    trouble = _follow(kit, runtime, tally, parts)
    summary = tally.summary()
    click.echo(summary_text(summary))
    if json_file is not None:
        write_atomically(json_file, summary.model_dump_json(indent=1).encode() + b"\n")
    if trouble is not None:
        click.echo(f"normline: the demo is incomplete: {trouble}", err=True)
        return INTERRUPTED if trouble == "interrupted" else 1
    return 0 if summary.complete else 1


def _follow(kit: Kit, runtime: str, tally: Tally, parts: int) -> str | None:
    """Show every verdict; returns why not all came, None when they did."""
    endpoints = free_endpoints()
    try:
        with own_handlers(), tempfile.TemporaryDirectory(prefix="normline-demo-") as folder:
            # Whatever asks the demo to end, its processes are to end with it.
            on_end(signal.default_int_handler)
            station = write_station(Path(folder), kit, runtime, endpoints, parts + SPARE_PARTS)
            with DemoLine(station, endpoints) as line:
                click.echo(f"starting the line on {runtime} ...")
                for verdict in line.follow(tally):
                    click.echo(verdict_line(verdict))
    except KeyboardInterrupt:
        return "interrupted"
    except LineStopped as stopped:
        return str(stopped)
    return None
