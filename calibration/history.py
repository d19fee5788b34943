"""Calibration records that were in force before: kept beside the present one, to be put back."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import click

from agent.errors import InputError
from agent.files import write_atomically
from agent.record import CalibrationRecord, read_record, write_record

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
    found = []
    for file in sorted(history_of(path).glob("*.cal.json")):
        try:
            found.append(Former(file, read_record(file)))
        except InputError as error:
            click.echo(f"left out: {error}", err=True)
    return sorted(
        found,
        key=lambda former: (
            former.record.created_at,
            former.record.confirmed_at or "",
            former.name,
        ),
    )


def replace_record(path: Path, record: CalibrationRecord) -> bytes:
    """Put a record in force, after the one before it is safe in the history.

    Returns:
        What the file held before, for a station that does not take the new record.

    Raises:
        InputError: the history or the file cannot be written; the former record is then still in
            force.
    """
    folder = history_of(path)
    try:
        content = path.read_bytes()
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot keep the former calibration {path} in {folder}: {error.strerror}"
        ) from error
    try:
        name = f"{read_record(path).sha256[:SHORT]}.cal.json"
    except InputError:
        # A file that somebody changed is kept too, but not to be put back.
        name = f"{hashlib.sha256(content).hexdigest()[:SHORT]}.unusable"
    write_atomically(folder / name, content)
    write_record(path, record)
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
