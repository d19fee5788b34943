"""What a command says while it works."""

from __future__ import annotations

import os
import sys

import click


def say(line: str) -> None:
    """Say a line on stderr; a terminal or a reader that has gone ends no work of hours."""
    try:
        click.echo(line, err=True)
    except OSError:
        hush()


def hush() -> None:
    """Nobody is there to listen: whatever is still said, by others too, goes nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stderr.fileno())
    os.close(nowhere)
