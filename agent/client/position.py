"""A place in a station's stream of verdicts, and the file that remembers it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from agent.errors import InputError
from agent.files import check_writable, write_atomically


@dataclass(frozen=True, order=True)
class Position:
    """The last verdict that was dealt with; `Position(0, 0)` is the beginning of everything."""

    epoch: int
    seq: int


POSITION = TypeAdapter(Position)


def read_position(path: Path) -> Position:
    """What `path` remembers; the beginning of everything when there is no such file.

    Raises:
        InputError: it cannot be read or holds something else.
    """
    try:
        return POSITION.validate_json(path.read_bytes(), strict=True)
    except FileNotFoundError:
        # Now, and not after the first verdict was dealt with.
        check_writable(path)
        return Position(0, 0)
    except OSError as error:
        raise InputError(f"cannot read the position in {path}: {error.strerror}") from error
    except ValidationError as error:
        raise InputError(f"{path} holds no position: delete it to begin anew") from error


def write_position(path: Path, position: Position) -> None:
    """Remember a position, also over a power loss.

    Raises:
        InputError: it cannot be written.
    """
    write_atomically(path, POSITION.dump_json(position) + b"\n")
