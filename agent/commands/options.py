"""Options that several commands have, and what is said of them."""

from __future__ import annotations

from pathlib import Path

import click

key_option = click.option(
    "--key",
    type=click.Path(path_type=Path),
    help="Key from normline keys create, for a station with keys.",
)


def whether_admitted(key: Path | None, role: str) -> str:
    """What to ask where a station is not heard: whom it does not admit it does not answer."""
    if key is None:
        return "does it ask for a key (none was given)?"
    return f"does it list this key with the role {role}?"
