"""Pictures of parts, kept on disk for people to look at, within a quota."""

from __future__ import annotations

import logging
import queue
import shutil
import threading
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.errors import InputError
from agent.files import write_atomically
from agent.verdict import Outcome, Verdict

log = logging.getLogger(__name__)

# Pictures in memory at once; more than the disk takes are not kept, and counted.
WAITING = 8
END_S = 5.0
# Lossless; the lowest level is several times faster than the usual one.
PNG = (cv2.IMWRITE_PNG_COMPRESSION, 1)
Keep = Literal["rejects", "all"]


class _Kept(NamedTuple):
    """A picture, and what it takes."""

    path: Path
    size: int


class EvidenceStore:
    """A folder of `<epoch>-<seq>-<verdict>.png`, written by a thread of its own.

    When the quota is reached the oldest pictures of passed parts go first, then the oldest of all.
    When the disk is short of room pictures of passed parts go, and where that does not help no
    more are kept: those of rejects are not given up for somebody else's files.

    Attributes:
        fault: why nothing can be kept at the moment; None when all is well.
        dropped: pictures that should have been kept and were not.
    """

    def __init__(self, folder: Path, *, keep: Keep, max_mb: float, min_free_mb: float) -> None:
        """Open a folder, made when missing.

        Args:
            folder: takes the pictures; those of earlier runs count for the quota, and what such a
                run was writing when it was killed is removed.
            keep: "rejects" for all that did not pass, "all" for every part; of a row of pictures
                that could not be judged only the first is handed over.
            max_mb: what the pictures may take; min_free_mb: what is left to the disk.

        Raises:
            InputError: it cannot be made.
        """
        self._folder = folder
        self._keep_passes = keep == "all"
        self._max_bytes = max_mb * 1e6
        self._min_free_bytes = min_free_mb * 1e6
        self.fault: str | None = None
        self.dropped = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # Of a picture whose writing was cut off, as `write_atomically` names it.
            for half in folder.glob(".*.png.*"):
                half.unlink(missing_ok=True)
            found = sorted(folder.glob("*.png"), key=_age)
            kept = [_Kept(path, path.stat().st_size) for path in found]
        except OSError as error:
            raise InputError(f"cannot keep evidence in {folder}: {error.strerror}") from error
        self._passes = deque(each for each in kept if _is_pass(each.path))
        self._others = deque(each for each in kept if not _is_pass(each.path))
        self._bytes = sum(each.size for each in kept)
        self._work: queue.Queue[tuple[Path, NDArray[np.uint8]] | None] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._run, name="evidence", daemon=True)
        self._thread.start()

    def keep(self, verdict: Verdict, image: NDArray[np.uint8]) -> None:
        """Keep the picture that a verdict was given on, uint8 [H, W, 3]; never waits."""
        if verdict.verdict is Outcome.PASS and not self._keep_passes:
            return
        name = f"{verdict.epoch}-{verdict.seq:010d}-{verdict.verdict.value}.png"
        try:
            self._work.put_nowait((self._folder / name, image))
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        """Write what waits, and end; a disk that hangs is left behind."""
        with suppress(queue.Full):
            self._work.put(None, timeout=END_S)
        self._thread.join(END_S)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            path, image = work
            try:
                self._write(path, cv2.imencode(".png", image, PNG)[1].tobytes())
            except Exception as error:  # No memory either: the next picture may find some.
                self.dropped += 1
                why = str(error) or type(error).__name__
                if self.fault is None:
                    log.error("no evidence can be kept: %s", why)
                self.fault = why
            else:
                self.fault = None

    def _write(self, path: Path, data: bytes) -> None:
        if self._bytes + len(data) > self._max_bytes:
            self._forget_gone()
        while self._bytes + len(data) > self._max_bytes and (self._passes or self._others):
            self._evict(self._passes or self._others)
        while shutil.disk_usage(self._folder).free - len(data) < self._min_free_bytes:
            if not self._passes:
                raise InputError(f"the disk of {self._folder} is nearly full")
            self._evict(self._passes)
        write_atomically(path, data)
        self._bytes += len(data)
        (self._passes if _is_pass(path) else self._others).append(_Kept(path, len(data)))

    def _forget_gone(self) -> None:
        """Where somebody has tidied up, there is room before anything need go."""
        for kept in (self._passes, self._others):
            while kept and not kept[0].path.exists():
                self._bytes -= kept.popleft().size

    def _evict(self, kept: deque[_Kept]) -> None:
        # What cannot be removed still counts.
        kept[0].path.unlink(missing_ok=True)
        self._bytes -= kept.popleft().size


def _is_pass(path: Path) -> bool:
    return path.stem.endswith(f"-{Outcome.PASS.value}")


def _age(path: Path) -> tuple[int, str]:
    """Sorts by epoch and number, which is by age."""
    epoch, _, rest = path.stem.partition("-")
    return (int(epoch) if epoch.isdecimal() else 0, rest)
