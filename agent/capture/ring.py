"""Slots of shared memory for frames, and a beat that shows that the capture lives.

The slots are anonymous files (memfd): they have no name that could be left behind, and vanish
with the last process that holds them, however that ends. Who may touch a slot is agreed over the
pipe; here is only the memory.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from multiprocessing import reduction
from typing import Any

import numpy as np
from numpy.typing import NDArray

BEAT = np.dtype(np.int64)
LIBC = ctypes.CDLL(None, use_errno=True)
CLOSE_ON_EXEC = 1


class _Block:
    """An anonymous file in memory, mapped as far as it was last seen to reach."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._map: mmap.mmap | None = None

    def reach(self, size: int) -> mmap.mmap:
        """The mapping of at least `size` bytes; the file grows where it must, and never shrinks."""
        if self._map is None or len(self._map) < size:
            if self._map is not None:
                self._map.close()
            if os.fstat(self.descriptor).st_size < size:
                os.ftruncate(self.descriptor, size)
            self._map = mmap.mmap(self.descriptor, size)
        return self._map

    def close(self) -> None:
        if self._map is not None:
            self._map.close()
        os.close(self.descriptor)


class Ring:
    """Slots for frames of any size. Handed to a child process as an argument, it is shared."""

    def __init__(self, slots: int) -> None:
        descriptors: list[int] = []
        try:
            for number in range(slots + 1):
                descriptors.append(_anonymous_file(f"normline-{number}"))
        except OSError:
            for descriptor in descriptors:
                os.close(descriptor)
            raise
        self._adopt(descriptors)
        try:
            self.beat(0)
        except OSError:
            self.close()
            raise

    def _adopt(self, descriptors: list[int]) -> None:
        self._beat, *self._slots = (_Block(descriptor) for descriptor in descriptors)

    def __len__(self) -> int:
        return len(self._slots)

    def write(self, slot: int, image: NDArray[Any]) -> None:
        """Copy an image, uint8 or uint16 [H, W, 3], into a slot."""
        self._view(slot, image.shape, image.dtype)[...] = image

    def read(self, slot: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """A copy of the image of `shape` and `dtype` in a slot."""
        return self._view(slot, shape, dtype).copy()

    def _view(self, slot: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        size = int(np.prod(shape))
        memory = self._slots[slot].reach(size * dtype.itemsize)
        return np.frombuffer(memory, dtype, size).reshape(shape)

    def beat(self, now_ns: int) -> None:
        """Note that the capture was well at `now_ns`, monotonic."""
        self._beat_view()[0] = now_ns

    def last_beat_ns(self) -> int:
        """When the capture was last well; 0 before its first beat."""
        return int(self._beat_view()[0])

    def _beat_view(self) -> NDArray[np.int64]:
        # One aligned machine word, which the other process sees before or after, never between;
        # struct.pack_into clears the bytes first.
        return np.frombuffer(self._beat.reach(BEAT.itemsize), BEAT, 1)

    def close(self) -> None:
        """Give back this process's part."""
        for block in (self._beat, *self._slots):
            block.close()

    def __getstate__(self) -> list[object]:
        return [reduction.DupFd(block.descriptor) for block in (self._beat, *self._slots)]

    def __setstate__(self, duplicates: list[object]) -> None:
        self._adopt([duplicate.detach() for duplicate in duplicates])  # type: ignore[attr-defined]


def _anonymous_file(name: str) -> int:
    """The descriptor of a file in memory that no folder holds."""
    # Not os.memfd_create: many a Python that is downloaded was built for old systems without it.
    descriptor: int = LIBC.memfd_create(name.encode(), CLOSE_ON_EXEC)
    if descriptor < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return descriptor
