"""The calibration file of a running station: replaced on disk, taken over between two frames."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from agent.errors import InputError
from agent.record import CalibrationRecord, read_record

log = logging.getLogger(__name__)

LOOK_S = 0.5
Stamp = tuple[int, int, int]


class CalibrationFile:
    """Notices that the file has been replaced. What may not be used changes nothing."""

    def __init__(self, path: Path, check: Callable[[CalibrationRecord], None]) -> None:
        """Read the file.

        Args:
            path: the calibration record.
            check: raises InputError for a record that does not belong to this station.

        Raises:
            InputError: it cannot be read, or `check` refuses it.
        """
        self._path = path
        self._check = check
        self._stamp = self._look()
        self._next_look_s = 0.0
        self.record = read_record(path)
        check(self.record)

    def replaced(self) -> CalibrationRecord | None:
        """The new record, once, when there is one that may be used; reads at most twice a second.

        A record that may not be used is logged, and the former one stays in force.
        """
        now_s = time.monotonic()
        if now_s < self._next_look_s:
            return None
        self._next_look_s = now_s + LOOK_S
        stamp = self._look()
        if stamp == self._stamp or stamp is None:
            return None
        self._stamp = stamp
        try:
            record = read_record(self._path)
            self._check(record)
        except InputError as error:
            log.error("the new calibration is refused, the former one stays in force: %s", error)
            return None
        if record == self.record:
            return None
        self.record = record
        return record

    def _look(self) -> Stamp | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino, status.st_size
