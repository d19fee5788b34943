"""Opening the station's journal, also where its file or its disk is at fault."""

from __future__ import annotations

import logging
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Literal

from agent.errors import InputError
from agent.journal.database import JournalUnusable
from agent.journal.journal import Journal, last_epoch
from agent.journal.retention import Retention

log = logging.getLogger(__name__)

TEMPORARY_MB = 100
OnFault = Literal["continue", "stop"]


def open_journal(path: Path, retention: Retention, on_fault: OnFault) -> Journal:
    """Open the journal at `path`; with "continue", find another place when that cannot be used.

    A corrupt journal is set aside, never removed, and a new one is begun. Where the disk is full
    or read-only the journal lies in a temporary folder, as a service in its RUNTIME_DIRECTORY,
    where a station that is started again goes on with it: what is stored there is gone with the
    machine's next start. In both cases the journal's `alarm` says so.

    Raises:
        JournalUnusable: it is at fault, and `on_fault` is "stop", or nothing else can be used.
        InputError: what was asked for is wrong: no such folder, no journal, in use.
    """
    # What never was a journal is somebody's file: not to be set aside. A journal's log ahead is
    # made once it is open, its lock before anybody knows what it is.
    was_journal = _beside(path, ".ahead").exists()
    try:
        return Journal(path, retention)
    except JournalUnusable as fault:
        if on_fault == "stop" or (fault.corrupt and not was_journal):
            raise
        log.error("%s", fault)
        if fault.corrupt:
            aside = _set_aside(path)
            try:
                return Journal(path, retention, alarm=f"{fault}; it was set aside as {aside.name}")
            except JournalUnusable as second:
                log.error("%s", second)
        return _temporary(path, fault, retention)


def _set_aside(path: Path) -> Path:
    suffix = f".corrupt-{time.time_ns()}"
    for part in (path, *(_beside(path, end) for end in ("-wal", "-shm", ".ahead"))):
        if part.exists():
            try:
                part.rename(_beside(part, suffix))
            except OSError as error:
                raise InputError(f"cannot set {part} aside: {error.strerror}") from error
    return _beside(path, suffix)


def _temporary(path: Path, fault: JournalUnusable, retention: Retention) -> Journal:
    # In memory, as often as not.
    retention = replace(retention, max_mb=min(retention.max_mb, TEMPORARY_MB))

    def journal_in(folder: Path) -> Journal:
        alarm = f"{fault}; until the disk can be written verdicts are kept in the temporary folder "
        return Journal(
            folder / "journal.db", retention, alarm=f"{alarm}{folder}", after=last_epoch(path)
        )

    # systemd's, which outlives the process; its /tmp is the service's own, and ends with it.
    if runtime := os.environ.get("RUNTIME_DIRECTORY"):
        try:
            return journal_in(Path(runtime.partition(":")[0]))
        except InputError as second:
            log.error("%s", second)
    try:
        # Not removed at the end: it may be all that is left of these verdicts.
        folder = Path(tempfile.mkdtemp(prefix="normline-journal-"))
    except OSError as error:
        raise fault from error
    return journal_in(folder)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
