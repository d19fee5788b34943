"""Whether the station does its work, stage by stage, or only goes round."""

from __future__ import annotations

from dataclasses import dataclass

from agent.capture import Capture, CaptureState
from agent.service.inspect import Inspector
from agent.service.notify import Notifier
from agent.service.worker import Worker

FAILED_IN_A_ROW = 3


@dataclass(frozen=True)
class _Marks:
    """How far each stage had come when systemd was last told that all is well."""

    camera_ns: int
    finished: int


class Watchdog:
    """Tells systemd that the station lives when capture and inference have advanced.

    It is asked with every heartbeat, so what publishes has. A camera that is being opened again has
    advanced, and so has a model that has no frame. A model that has failed several times in a row
    has not: a restart may bring its device back.
    """

    def __init__(
        self, notifier: Notifier, capture: Capture, inspector: Inspector, worker: Worker
    ) -> None:
        self._notifier = notifier
        self._capture = capture
        self._inspector = inspector
        self._worker = worker
        self._marks = self._read()

    def feed(self) -> None:
        """Tell systemd, if both have advanced since it was last told."""
        now = self._read()
        captured = now.camera_ns > self._marks.camera_ns or self._camera_is_lost
        inferred = now.finished > self._marks.finished or self._worker.token is None
        works = self._inspector.failed_in_a_row < FAILED_IN_A_ROW
        if captured and inferred and works:
            self._marks = now
            self._notifier.alive()

    @property
    def _camera_is_lost(self) -> bool:
        return self._capture.status.state is not CaptureState.RUNNING

    def _read(self) -> _Marks:
        return _Marks(self._capture.last_beat_ns, self._worker.finished)
