"""A camera whose every moment is written down beforehand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agent.camera import Frame, Settings
from agent.capture import Captured, CaptureState, CaptureStatus


class ScriptedCapture:
    """Stands in for `Capture`: gives a picture, fails (a str says why) or raises, then ends."""

    def __init__(self, script: Sequence[np.ndarray | str | BaseException]) -> None:
        self.script = list(script)
        self.waits = False
        self.settings: Settings = {"exposure": 157}
        self.given = 0
        self._state, self._reason = CaptureState.STARTING, ""

    def __enter__(self) -> ScriptedCapture:
        return self

    def __exit__(self, *_: object) -> None:
        self._state = CaptureState.ENDED

    def start(self) -> None:
        self._state = CaptureState.RUNNING

    @property
    def status(self) -> CaptureStatus:
        return CaptureStatus(self._state, self._reason, self.given, 0, 0, 0)

    def take(self, timeout_s: float) -> Captured | None:
        if not self.script:
            self._state = CaptureState.ENDED
            return None
        now = self.script.pop(0)
        if isinstance(now, BaseException):
            raise now
        if isinstance(now, str):
            self._state, self._reason = CaptureState.FAULT, now
            return None
        self._state, self._reason = CaptureState.RUNNING, ""
        self.given += 1
        return Captured(Frame(now, self.given, f"{self.given}", 0), None)
