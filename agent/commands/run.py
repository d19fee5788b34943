"""`normline run`: the station's service."""

from __future__ import annotations

from pathlib import Path

import click

from agent.config import Station
from agent.logs import log_to_stderr


@click.command(short_help="run a station: camera in, verdicts out")
@click.argument("station", type=click.Path(path_type=Path))
def run(station: Path) -> None:
    """Run the station that the file STATION describes, until it is told to end.

    One line on stdout says when it is ready; logs go to stderr, one JSON object a line. SIGTERM,
    Ctrl-C and a terminal that closes end it cleanly: open parts get no decision, and the journal
    is complete. Leave an installed station to systemctl: run once by root, it has files that its
    service cannot open.

    \b
    Example:
      normline run station.yaml
      normline watch tcp://127.0.0.1:5556 --replay tcp://127.0.0.1:5557
    """
    # Here, so that `normline --help` does not load what only a station needs.
    from agent.service import run_station

    log_to_stderr()
    run_station(station, _say_ready)


def _say_ready(station: Station) -> None:
    place, publish = station.station, station.publish
    click.echo(
        f"normline: {place.site}/{place.line}/{place.name} is ready: verdicts {publish.verdicts}, "
        f"replay {publish.replay}, commands {publish.commands}"
    )
