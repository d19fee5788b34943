"""One engine for several cameras: as many frames at once as it has streams."""

from __future__ import annotations

from collections import deque
from queue import SimpleQueue
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from agent.engine.base import Engine, Inspection


class SharedEngine:
    """An engine that any number of threads may ask at the same time.

    With as many streams as cores every frame is calculated by one core: none waits for another
    at the end of each layer, so more frames are done in a second, each in more time.

    Args:
        engine: loaded with the same number of streams; it belongs to this object from then on.
        streams: how many frames may be under way.
    """

    def __init__(self, engine: Engine, streams: int) -> None:
        self.fingerprint, self.input_size = engine.fingerprint, engine.input_size
        self._engines = [engine, *(engine.sibling() for _ in range(streams - 1))]
        self._lock = Lock()
        self._free = list(self._engines)
        self._waiting: deque[SimpleQueue[Engine]] = deque()

    def infer(self, frame: NDArray[np.uint8]) -> Inspection:
        """As `Engine.infer`; waits while all streams are busy, first come first served."""
        engine = self._take()
        try:
            return engine.infer(frame)
        finally:
            self._give(engine)

    def _take(self) -> Engine:
        with self._lock:
            if self._free:
                return self._free.pop()
            place: SimpleQueue[Engine] = SimpleQueue()
            self._waiting.append(place)
        return place.get()

    def _give(self, engine: Engine) -> None:
        # Handed to the camera that has waited longest: one that comes back at once for its next
        # frame would else overtake it, again and again.
        with self._lock:
            if self._waiting:
                self._waiting.popleft().put(engine)
            else:
                self._free.append(engine)

    def close(self) -> None:
        """Give everything back; no thread may be inferring."""
        for engine in reversed(self._engines):
            engine.close()
