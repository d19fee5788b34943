"""What is about to be written, kept where a killed process cannot take it.

A verdict is published before the disk has it; a commit takes milliseconds, and a process can be
killed in any of them. So every change is first copied into a mapped file: that takes microseconds
and no system call, and the kernel has it from then on. Only a power loss can take it.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Two halves are written in turn; what is in one must be committed before it is used again. A half
# holds about four thousand verdicts, two minutes of a fast line.
HALF_BYTES = 4 * 1024 * 1024
# Length and checksum of the record that follows; a length of 0 ends a half.
HEADER = struct.Struct("<II")


@dataclass(frozen=True)
class Entry:
    """A change as it was announced: its epoch and ticket, and what it was."""

    epoch: int
    ticket: int
    content: list[Any]


class AheadLog:
    """The mapped file. For one thread."""

    def __init__(self, path: Path) -> None:
        """Open it, made when missing, with all the room that it will ever take.

        Raises:
            OSError: the disk is full, or cannot be written.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.posix_fallocate(descriptor, 0, 2 * HALF_BYTES)
            # All of it in memory at once: no page is waited for later, and memory does not grow.
            self._map = mmap.mmap(descriptor, 2 * HALF_BYTES, mmap.MAP_SHARED | mmap.MAP_POPULATE)
        finally:
            os.close(descriptor)
        self._half = 0
        self._at = 0
        self._last_ticket = [0, 0]
        self._refused = False

    def entries(self) -> list[Entry]:
        """All that the file holds, oldest first."""
        found = [*self._read(0), *self._read(1)]
        return sorted(found, key=lambda entry: (entry.epoch, entry.ticket))

    def clear(self) -> None:
        """Forget all; it has been committed."""
        for half in (0, 1):
            self._end(half * HALF_BYTES)
        self._half = self._at = 0
        self._refused = False

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
        fits = self._at + needed + spare <= HALF_BYTES
        if not fits or (self._refused and not vital):
            if self._last_ticket[1 - self._half] > committed:
                self._refused = True
                return False
            self._half, self._at, self._refused = 1 - self._half, 0, False
        start = self._half * HALF_BYTES + self._at
        end = start + HEADER.size + len(body)
        # The header last: until it is there, the record before is the last one.
        self._end(end)
        self._map[start + HEADER.size : end] = body
        HEADER.pack_into(self._map, start, len(body), zlib.crc32(body))
        self._at += HEADER.size + len(body)
        self._last_ticket[self._half] = entry.ticket
        return True

    def close(self) -> None:
        """Let go of the file."""
        self._map.close()

    def _end(self, at: int) -> None:
        HEADER.pack_into(self._map, at, 0, 0)

    def _read(self, half: int) -> Iterator[Entry]:
        at, end = half * HALF_BYTES, (half + 1) * HALF_BYTES
        while at + HEADER.size <= end:
            length, checksum = HEADER.unpack_from(self._map, at)
            at += HEADER.size
            body = self._map[at : at + length]
            # After a power loss a record may be there in part.
            if length == 0 or at + length > end or zlib.crc32(body) != checksum:
                return
            epoch, ticket, *content = json.loads(body)
            yield Entry(epoch, ticket, content)
            at += length
