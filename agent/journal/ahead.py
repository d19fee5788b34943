"""What is about to be written, kept where a killed process cannot take it.

A verdict is published before the disk has it; a commit takes milliseconds, and a process can be
killed in any of them. So every change is first copied into a mapped file: that takes microseconds
and no system call, and the kernel has it from then on. Only a power loss can take it.

On a disk that hangs, even that copy may wait, as the kernel holds back a store into a page of which
the disk has to be told. A service therefore maps a file in memory, which outlives the process but
not the machine, and the disk gets what it has when a commit has failed, and at an end that leaves
something unwritten.
"""

from __future__ import annotations

import json
import logging
import mmap
import os
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.errors import InputError

log = logging.getLogger(__name__)

# Two halves are written in turn; what is in one must be committed before it is used again. A half
# holds about four thousand verdicts, two minutes of a fast line. With another size, the versions
# before and after would not find the second one of each other.
HALF_BYTES = 4 * 1024 * 1024
# Length and checksum of the record that follows; a length of 0 ends a half.
HEADER = struct.Struct("<II")


@dataclass(frozen=True)
class Entry:
    """A change as it was announced: its epoch and ticket, and what it was."""

    epoch: int
    ticket: int
    content: list[Any]


def read_entries(path: Path) -> list[Entry]:
    """All that a log ahead holds; nothing where there is none.

    Raises:
        OSError: it cannot be read.
        InputError: a newer normline wrote it.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    try:
        return [*_entries(data[:HALF_BYTES]), *_entries(data[HALF_BYTES:])]
    except (ValueError, TypeError) as error:
        raise of_a_newer(path) from error


def of_a_newer(path: Path) -> InputError:
    """What is said where the log ahead at, or of the journal at, `path` cannot be understood."""
    return InputError(
        f"{path} has changes of a newer normline, which was ended before it had stored them: start "
        "that version once and stop it, and they are not lost"
    )


class AheadLog:
    """The mapped file. For one thread, but for `is_full` and `save`."""

    def __init__(self, disk: Path, memory: Path | None = None) -> None:
        """Open it, made when missing, with all the room that it will ever take.

        Args:
            disk: the file on the disk.
            memory: the file to map in its place, in a folder in memory. Where that is not to be
                had, the one on the disk is mapped after all.

        Raises:
            OSError: the disk is full, or cannot be written.
        """
        os.close(_reserve(disk))
        self._disk: Path | None = None
        if memory is not None:
            try:
                self._map = _map(memory)
                self._disk = disk
            except OSError as error:
                log.error(
                    "cannot keep %s in memory, and on the disk instead it holds up the line when "
                    "that hangs: %s",
                    memory,
                    error.strerror,
                )
        if self._disk is None:
            self._map = _map(disk)
        self._half = 0
        # Of each half how often it was begun, and where what it holds ends; the same of the disk's.
        self._written = [(0, 0), (0, 0)]
        self._saved = [(0, 0), (0, 0)]
        self._saving = threading.Lock()
        self._last_ticket = [0, 0]
        self._refused = False

    def clear(self) -> None:
        """Forget all; it has been committed. Waits for the disk."""
        for half, (begun, _) in enumerate(self._written):
            self._end(half * HALF_BYTES)
            self._written[half] = (begun + 1, 0)
        self._half = 0
        self._refused = False
        self.save()

    def is_full(self, committed: int) -> bool:
        """Whether nothing is kept until the disk has taken the older half; for any thread."""
        return self._refused and self._last_ticket[1 - self._half] > committed

    def add(self, entry: Entry, committed: int, spare: int = 0, *, vital: bool = False) -> bool:
        """Keep a change.

        Args:
            entry: with a ticket above all before it.
            committed: the last ticket that the disk has.
            spare: bytes to leave free behind it.
            vital: kept also after others were refused, in what they have spared.

        Returns:
            False: there is no room, as the disk has taken nothing for too long. When one change
            was refused so is every other, however small, until the disk has taken the older half.
        """
        body = json.dumps([entry.epoch, entry.ticket, *entry.content]).encode()
        needed = HEADER.size + len(body) + HEADER.size
        if needed > HALF_BYTES:
            return False
        begun, at = self._written[self._half]
        fits = at + needed + spare <= HALF_BYTES
        if not fits or (self._refused and not vital):
            if self._last_ticket[1 - self._half] > committed:
                self._refused = True
                return False
            self._half, self._refused = 1 - self._half, False
            begun, at = self._written[self._half][0] + 1, 0
        start = self._half * HALF_BYTES + at
        end = start + HEADER.size + len(body)
        # The header last: until it is there, the record before is the last one.
        self._end(end)
        self._map[start + HEADER.size : end] = body
        HEADER.pack_into(self._map, start, len(body), zlib.crc32(body))
        self._written[self._half] = (begun, at + HEADER.size + len(body))
        self._last_ticket[self._half] = entry.ticket
        return True

    def save(self) -> None:
        """Let the disk have all of it, and wait for that; for the threads that may.

        What a disk does not take, the next call tries again. Where the mapped file is the disk's
        there is nothing to do.
        """
        if self._disk is None:
            return
        # ValueError: it was closed while the disk was waited for.
        with self._saving, suppress(OSError, MemoryError, ValueError):
            written = list(self._written)
            if written == self._saved:
                return
            with open(self._disk, "r+b") as file:
                for half, (begun, end) in enumerate(written):
                    saved, at = self._saved[half]
                    start = half * HALF_BYTES
                    file.seek(start + (at if begun == saved else 0))
                    file.write(self._map[file.tell() : start + end])
                    file.write(HEADER.pack(0, 0))
                file.flush()
                os.fsync(file.fileno())
            self._saved = written

    def close(self) -> None:
        """Let go of the file."""
        self._map.close()

    def _end(self, at: int) -> None:
        HEADER.pack_into(self._map, at, 0, 0)


def _reserve(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.posix_fallocate(descriptor, 0, 2 * HALF_BYTES)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _map(path: Path) -> mmap.mmap:
    descriptor = _reserve(path)
    try:
        # All of it in memory at once: no page is waited for later, and memory does not grow.
        return mmap.mmap(descriptor, 2 * HALF_BYTES, mmap.MAP_SHARED | mmap.MAP_POPULATE)
    finally:
        os.close(descriptor)


def _entries(half: bytes) -> Iterator[Entry]:
    at = 0
    while at + HEADER.size <= len(half):
        length, checksum = HEADER.unpack_from(half, at)
        at += HEADER.size
        body = half[at : at + length]
        # After a power loss a record may be there in part.
        if length == 0 or len(body) < length or zlib.crc32(body) != checksum:
            return
        epoch, ticket, *content = json.loads(body)
        yield Entry(epoch, ticket, content)
        at += length
