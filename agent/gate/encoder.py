"""Where the belt stands: the count of an encoder, or the time."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from agent.errors import InputError

# Whoever rewrites a file empties it first, and has written it again so soon.
REWRITTEN_S, READ_AGAIN_S = 0.1, 0.001

Position = Callable[[], int]


class FileEncoder:
    """The count that a file holds. While it is being rewritten the count is what it was."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._count: int | None = None
        # Since when it has been read empty.
        self._empty_s: float | None = None

    def __call__(self) -> int:
        """The count.

        Raises:
            InputError: the file cannot be read, holds no number or stays empty.
        """
        try:
            while not (text := self._path.read_text()):
                now_s = time.monotonic()
                self._empty_s = self._empty_s or now_s
                if now_s - self._empty_s > REWRITTEN_S:
                    raise InputError(f"cannot read the encoder {self._path}: it is empty")
                if self._count is not None:
                    return self._count
                time.sleep(READ_AGAIN_S)
            self._count, self._empty_s = int(text), None
        except (OSError, ValueError) as error:
            raise InputError(f"cannot read the encoder {self._path}: {error}") from error
        return self._count


def open_position(encoder: str | None) -> Position:
    """Where the belt stands: the count that a file holds, without one the time in nanoseconds.

    Raises:
        InputError: the encoder cannot be read; also later, when the position is asked for.
    """
    if encoder is None:
        return time.monotonic_ns
    count = FileEncoder(Path(encoder.removeprefix("file://")))
    count()
    return count
