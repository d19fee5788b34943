"""Errors that a vision engineer can act on."""

from __future__ import annotations


class InputError(Exception):
    """Something given to training is wrong; the message says what, and what to do.

    The command line prints it as one line and exits with `exit_code`.
    """

    exit_code = 2


class NoPart(InputError):
    """An image shows no part where one is followed; `reason` says so without its name."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name} shows {reason}: remove it, or use `normline train --align off`")
        self.reason = reason
