"""Calibration records that were in force before: kept beside the present one, to be put back."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from agent.errors import InputError
from agent.files import check_writable, write_atomically
from agent.record import CalibrationRecord, read_record, write_record
from agent.signals import on_end, own_handlers

SHORT = 12


@dataclass(frozen=True)
class Former:
    """A record of the history."""

    path: Path
    record: CalibrationRecord

    @property
    def name(self) -> str:
        """What it is put back by."""
        return self.record.sha256[:SHORT]


def history_of(path: Path) -> Path:
    """The folder that holds the former records of a calibration file."""
    return path.with_name(path.name + ".history")


def former_records(path: Path) -> list[Former]:
    """The history of a calibration file, the oldest first; what cannot be used is named."""
    found = {}
    for file in sorted(history_of(path).glob("*.cal.json")):
        try:
            former = Former(file, read_record(file))
        except InputError as error:
            click.echo(f"left out: {error}", err=True)
        else:
            found[former.name] = former
    return sorted(
        found.values(),
        key=lambda former: (
            former.record.created_at,
            former.record.confirmed_at or "",
            former.name,
        ),
    )


def check_replaceable(path: Path) -> None:
    """Find out before long work whether a record can be put in force, and the former one kept.

    Raises:
        InputError: the file or its history cannot be written.
    """
    check_writable(path)
    if (folder := history_of(path)).exists():
        check_writable(folder / path.name)


def replace_record(path: Path, record: CalibrationRecord) -> None:
    """Put a record in force, after the one before it, where there is one, is safe in the history.

    Raises:
        InputError: the history or the file cannot be written; the former record is then still in
            force.
    """
    with _held(path):
        _keep_former(path)
        write_record(path, record)


@contextmanager
def on_trial(
    path: Path, record: CalibrationRecord, made_from: CalibrationRecord | None
) -> Iterator[None]:
    """Put a record in force as `replace_record` does; the file is as before if the block fails.

    So it is when Ctrl-C, or whatever else asks to end, interrupts it. Meanwhile no other command
    replaces the record.

    Args:
        path: the calibration file.
        record: for it.
        made_from: what must be in force still, unless None: a new limit that rests on another
            record would undo what came after that.

    Raises:
        InputError: as `replace_record`, or another record is in force.
    """
    with own_handlers(), _held(path):
        on_end(_interrupt)
        if made_from is not None and read_record(path) != made_from:
            raise InputError(
                f"another command has replaced {path} meanwhile: nothing has changed, run this "
                "one again"
            )
        before = _keep_former(path)
        try:
            write_record(path, record)
            yield
        except BaseException as error:
            if before is None:
                path.unlink(missing_ok=True)
            else:
                write_atomically(path, before)
            if isinstance(error, KeyboardInterrupt):
                click.echo(f"interrupted: {path} is again as it was", err=True)
            raise


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Have every other command that would replace the record wait."""
    with ExitStack() as stack:
        try:
            descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
            stack.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            raise InputError(f"cannot lock the folder of {path}: {error.strerror}") from error
        yield


def _interrupt(*_: object) -> None:
    """End as by Ctrl-C, once: putting back must not be interrupted too."""
    on_end(lambda *_: None)
    raise KeyboardInterrupt


def _keep_former(path: Path) -> bytes | None:
    """Copy what the file holds to the history; returns it, None where there is no file."""
    folder = history_of(path)
    try:
        content = path.read_bytes()
        folder.mkdir(exist_ok=True)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(
            f"cannot keep the former calibration {path} in {folder}: {error.strerror}"
        ) from error
    try:
        digest = read_record(path).sha256
    except InputError:
        # Somebody changed the file, or a newer normline made it, which will know it again.
        digest = hashlib.sha256(content).hexdigest()
    write_atomically(folder / f"{digest[:SHORT]}.cal.json", content)
    return content


def find_former(path: Path, name: str) -> CalibrationRecord:
    """A former record by the beginning of its name.

    Raises:
        InputError: none, or more than one, begins so.
    """
    records = former_records(path)
    found = [each.record for each in records if each.record.sha256.startswith(name.lower())]
    if len(found) != 1:
        names = ", ".join(each.name for each in records) or "none"
        what = "no former calibration begins" if not found else "several former calibrations begin"
        raise InputError(f"{what} with {name} (there are: {names})")
    return found[0]
