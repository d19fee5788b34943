"""Whether the station does its work, stage by stage, or only goes round."""

from __future__ import annotations

from dataclasses import dataclass

from agent.capture import Capture, CaptureState
from agent.messaging.publisher import Publisher
from agent.service.inspect import Inspector
from agent.service.notify import Notifier


@dataclass(frozen=True)
class _Marks:
    """How far each stage had come when systemd was last told that all is well."""

    camera_ns: int
    attempted: int
    completed: int
    sent: int


class Watchdog:
    """Tells systemd that the station lives when capture, inference and publishing have advanced.

    Inference that had nothing to do has advanced, and so has a camera that is being opened again.
    A model that only fails has not: a restart may bring its device back.
    """

    def __init__(
        self, notifier: Notifier, capture: Capture, inspector: Inspector, publisher: Publisher
    ) -> None:
        self._notifier = notifier
        self._capture = capture
        self._inspector = inspector
        self._publisher = publisher
        self._marks = self._read()

    def feed(self) -> bool:
        """Tell systemd, if every stage has advanced since it was last told; says whether it was."""
        now = self._read()
        captured = now.camera_ns > self._marks.camera_ns or self._camera_is_lost
        inferred = now.completed > self._marks.completed or now.attempted == self._marks.attempted
        published = now.sent > self._marks.sent
        if not (captured and inferred and published):
            return False
        self._marks = now
        self._notifier.alive()
        return True

    @property
    def _camera_is_lost(self) -> bool:
        return self._capture.status.state is not CaptureState.RUNNING

    def _read(self) -> _Marks:
        return _Marks(
            self._capture.last_beat_ns,
            self._inspector.attempted,
            self._inspector.completed,
            self._publisher.sent,
        )
