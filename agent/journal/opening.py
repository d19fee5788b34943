"""Opening the station's journal, also where its file or its disk is at fault."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

from agent.errors import InputError
from agent.journal.database import JournalUnusable
from agent.journal.files import ENDS, beside, last_epoch
from agent.journal.former import Former
from agent.journal.journal import Journal
from agent.journal.retention import Retention
from agent.journal.runtime import ahead_in, runtime_folder

log = logging.getLogger(__name__)

TEMPORARY_MB = 100
NAME = "journal.db"
OnFault = Literal["continue", "stop"]


def open_journal(path: Path, retention: Retention, on_fault: OnFault) -> Journal:
    """Open the journal at `path`; with "continue", find another place when that cannot be used.

    A corrupt journal is set aside, never removed, and a new one is begun. Where the disk is full
    or read-only the journal lies in a temporary folder, as a service in its RUNTIME_DIRECTORY,
    where a station that is started again goes on with it, or takes it over once the disk can be
    written: what is stored there is gone with the machine's next start. In both cases the journal's
    `alarm` says so. A service's log ahead is in that folder in any case.

    Raises:
        JournalUnusable: it is at fault, and `on_fault` is "stop", or nothing else can be used.
        InputError: what was asked for is wrong: no such folder, no journal, in use.
    """
    # What never was a journal is somebody's file: not to be set aside. A journal's log ahead is
    # made once it is open, its lock before anybody knows what it is.
    was_journal = beside(path, ".ahead").exists()
    try:
        return _permanent(path, retention)
    except JournalUnusable as fault:
        if on_fault == "stop" or (fault.corrupt and not was_journal):
            raise
        log.error("%s", fault)
        if fault.corrupt:
            aside = _set_aside(path)
            try:
                return _permanent(path, retention, f"{fault}; it was set aside as {aside.name}")
            except JournalUnusable as second:
                log.error("%s", second)
        return _temporary(path, fault, retention)


def _permanent(path: Path, retention: Retention, alarm: str | None = None) -> Journal:
    """The journal at `path`, with what was kept elsewhere while it could not be used."""
    folder = runtime_folder()
    kept = folder / NAME if folder else None
    if kept is None or kept.resolve() == path.resolve():
        return Journal(path, retention, alarm=alarm)
    journal = partial(Journal, path, retention, folder=folder)
    if not os.path.exists(kept):  # False also in a folder that is closed to us
        return journal(alarm=alarm)
    try:
        former = Former(kept)
    except InputError as error:
        log.error("%s", error)
        unread = f"{error}; what was kept there is not taken over"
        return journal(alarm=f"{alarm}; {unread}" if alarm else unread, after=last_epoch(kept))
    with closing(former):
        opened = journal(alarm=alarm, after=former.epoch, former=former)
        former.remove()
    return opened


def _set_aside(path: Path) -> Path:
    suffix = f".corrupt-{time.time_ns()}"
    for part in (beside(path, end) for end in ENDS):
        if part.exists():
            try:
                part.rename(beside(part, suffix))
            except OSError as error:
                raise InputError(f"cannot set {part} aside: {error.strerror}") from error
    folder = runtime_folder()
    if folder is not None:
        _save_aside(ahead_in(folder, path), path, suffix)
    return beside(path, suffix)


def _save_aside(memory: Path, path: Path, suffix: str) -> None:
    """The same for the log ahead in memory, on the disk: the machine's next start takes memory."""
    try:
        # First where it takes no room: a new journal would write over it.
        aside = memory.rename(beside(memory, suffix))
        shutil.move(aside, beside(path, f".memory.ahead{suffix}"))
    except FileNotFoundError:
        pass
    except OSError as error:
        log.error("cannot move %s%s to the disk: %s", memory, suffix, error.strerror)


def _temporary(path: Path, fault: JournalUnusable, retention: Retention) -> Journal:
    # In memory, as often as not.
    retention = replace(retention, max_mb=min(retention.max_mb, TEMPORARY_MB))
    folder = runtime_folder()
    kept = folder / NAME if folder else None
    after = max(last_epoch(each) for each in (path, kept) if each is not None)

    def journal_at(place: Path) -> Journal:
        alarm = (
            f"{fault}; until a start that finds the disk writable, verdicts are kept in the "
            f"temporary folder {place.parent}"
        )
        return Journal(place, retention, alarm=alarm, after=after)

    if kept is not None:
        try:
            return journal_at(kept)
        except InputError as second:
            log.error("%s", second)
    try:
        # Not removed at the end: it may be all that is left of these verdicts.
        made = Path(tempfile.mkdtemp(prefix="normline-journal-"))
    except OSError as error:
        raise fault from error
    return journal_at(made / NAME)
