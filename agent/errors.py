"""Errors that a user can act on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class InputError(Exception):
    """Something given to normline is wrong; the message says what, and what to do.

    The command line prints it as one line and exits with `exit_code`.
    """

    exit_code = 2


class NoPart(InputError):
    """An image shows no part where one is looked for; `reason` says so without its name."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name} shows {reason}")
        self.reason = reason


def first_problem(error: ValidationError) -> str:
    """Where pydantic found something wrong, and what; never the input, which may be a secret."""
    problem = error.errors()[0]
    where = ".".join(map(str, problem["loc"])) or "content"
    return f"{where}: {problem['msg'].removeprefix('Value error, ')}"


def unknown_field(error: ValidationError) -> str | None:
    """A field that pydantic does not know: in a file that is sealed, a newer normline's."""
    for problem in error.errors():
        if problem["type"] == "extra_forbidden":
            return ".".join(map(str, problem["loc"]))
    return None
