"""Calibration records that were in force before: kept beside the present one, to be put back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

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
    """The history of a calibration file, the oldest first."""
    files = history_of(path).glob("*.cal.json") if history_of(path).is_dir() else ()
    found = [Former(file, read_record(file)) for file in files]
    return sorted(
        found,
        key=lambda former: (
            former.record.created_at,
            former.record.confirmed_at or "",
            former.name,
        ),
    )


def replace_record(path: Path, record: CalibrationRecord) -> None:
    """Put a record in force, after the one before it is safe in the history.

    Raises:
        InputError: the history or the file cannot be written; the former record is then still in
            force.
    """
    before = read_record(path)
    folder = history_of(path)
    try:
        folder.mkdir(exist_ok=True)
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"cannot keep the former calibration in {folder}: {error.strerror}"
        ) from error
    write_atomically(folder / f"{before.sha256[:SHORT]}.cal.json", content)
    write_record(path, record)


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
