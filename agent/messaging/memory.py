"""The memory that peers make ZeroMQ fill."""

from __future__ import annotations

import ctypes
import os

# A station at work grows by the pictures that wait, of 60 MB each with a camera of 20 megapixels:
# eight to be kept as evidence, as many to be inspected; and by verdicts for a disk that takes none.
MARGIN = 1_500_000_000
# ZeroMQ lets go of an ended connection's messages within LINGER, half a second.
SETTLING_LOOKS = 10


class MemoryGuard:
    """Tells when so much has been filled that ending every connection is the better evil.

    ZeroMQ's limits count whole messages: a message of frames without end is under all of them, and
    so are topics that are subscribed to without end. Their memory is free when the connection ends.
    """

    def __init__(self) -> None:
        # Kept open: where peers have taken all descriptors, it is needed most.
        self._statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
        self._trim = getattr(ctypes.CDLL(None), "malloc_trim", lambda _: None)  # glibc's alone
        self._least = self._in_use()
        self._settling = 0

    def is_overrun(self) -> bool:
        """Whether MARGIN more is in use than at the least since this was last so.

        What ending all connections does not free was no peer's, and is not asked for again.
        """
        in_use = self._in_use()
        if self._settling or in_use > self._least + MARGIN:
            self._settling = max(0, self._settling - 1)
            # Freed memory would count as used, and hide the next flood until it is used up.
            self._trim(0)
            in_use = self._in_use()
        if in_use > self._least + MARGIN:
            self._least = in_use
            self._settling = SETTLING_LOOKS
            return True
        self._least = min(self._least, in_use)
        return False

    def close(self) -> None:
        """Watch no more."""
        os.close(self._statm)

    def _in_use(self) -> int:
        """Bytes of this process alone that are in memory."""
        _, resident, shared, *_ = map(int, os.pread(self._statm, 200, 0).split())
        return (resident - shared) * os.sysconf("SC_PAGE_SIZE")
