"""One engine for several cameras: as many frames at once as it has streams."""

from __future__ import annotations

from queue import SimpleQueue

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
        self._free: SimpleQueue[Engine] = SimpleQueue()
        for each in self._engines:
            self._free.put(each)

    def infer(self, frame: NDArray[np.uint8]) -> Inspection:
        """As `Engine.infer`; waits while all streams are busy, first come first served."""
        engine = self._free.get()
        try:
            return engine.infer(frame)
        finally:
            self._free.put(engine)

    def close(self) -> None:
        """Give everything back; no thread may be inferring."""
        for engine in reversed(self._engines):
            engine.close()
