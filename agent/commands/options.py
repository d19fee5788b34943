"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path

import click

key_option = click.option(
    "--key",
    type=click.Path(path_type=Path),
    help="Key from normline keys create, for a station with keys.",
)
