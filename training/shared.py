"""Arrays that a training's processes hold in common: one is sent where it is, not what it is.

Their memory has no name that a kill could leave behind: it is gone with the last process that has
it. And it is none of /dev/shm, which has 64 MB in a container; writing beyond that is a crash.
"""

from __future__ import annotations

import ctypes
import math
import mmap
import os
import weakref
from collections.abc import Callable
from multiprocessing.reduction import DupFd, ForkingPickler
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from training.errors import InputError

_LIBC = ctypes.CDLL(None, use_errno=True)
_CLOSE_ON_EXEC = 1


class _Memory(mmap.mmap):
    """Memory by its file descriptor, which another process is sent.

    access: of who is sent it.
    """

    descriptor: int
    access = mmap.ACCESS_READ

    @classmethod
    def of(cls, size: int) -> _Memory:
        """So many bytes, 0 until written."""
        # Not os.memfd_create: a Python built for old systems has none, on whatever system it runs.
        descriptor = _LIBC.memfd_create(b"normline", _CLOSE_ON_EXEC)
        if descriptor < 0:
            raise OSError(ctypes.get_errno(), "no memory to share")
        os.ftruncate(descriptor, size)
        memory = cls(descriptor, size)
        memory.descriptor = descriptor
        weakref.finalize(memory, os.close, descriptor)
        return memory

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _received, (DupFd(self.descriptor), len(self), self.access)


def shared_array(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """An array of zeros; a process that is sent it, or a view of it, can only read it.

    Raises InputError where this machine has less memory than that.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    # The system would grant it, and kill the process when it is full.
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if size > there:
        raise InputError(
            f"the images take {size / 2**30:.1f} GiB as the model sees them, this machine has "
            f"{there / 2**30:.1f} GiB of memory: give fewer images, or fewer --tiles"
        )
    return np.ndarray(shape, dtype, _Memory.of(size))


def given_array(array: NDArray[Any]) -> NDArray[Any]:
    """A copy to be sent to one other process, whose own it is then."""
    memory = _Memory.of(array.nbytes)
    memory.access = mmap.ACCESS_WRITE
    given = np.ndarray(array.shape, array.dtype, memory)
    given[...] = array
    return given


def _received(descriptor: Any, size: int, access: int) -> mmap.mmap:
    """The memory, in the process that was sent it."""
    own = descriptor.detach()
    try:
        return mmap.mmap(own, size, access=access)
    finally:
        os.close(own)


def _reduce(array: NDArray[Any]) -> str | tuple[Any, ...]:
    """What is sent of an array: where it lies, if it is shared, else its contents."""
    owner: Any = array
    while isinstance(owner, np.ndarray):
        owner = owner.base
    if not isinstance(owner, _Memory):
        return array.__reduce__()
    offset = array.ctypes.data - np.frombuffer(owner, np.uint8).ctypes.data
    return np.ndarray, (array.shape, array.dtype, owner, offset, array.strides)


ForkingPickler.register(np.ndarray, _reduce)
