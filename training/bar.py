"""How far a training has come, drawn on stderr."""

from __future__ import annotations

from typing import Any

from tqdm import tqdm

from training.say import hush


class Bar(tqdm):
    """A progress bar that nobody needs to see: tqdm itself ends with the reader of a pipe."""

    def display(self, *arguments: Any, **named: Any) -> Any:
        """Draw the bar."""
        try:
            return super().display(*arguments, **named)
        except OSError:
            hush()
