"""Whether the station does its work, stage by stage, or only goes round."""

from __future__ import annotations

from dataclasses import dataclass

from agent.capture import Capture, CaptureState
from agent.messaging.publisher import Publisher
from agent.service.inspect import Inspector
from agent.service.notify import Notifier

FAILED_IN_A_ROW = 3


@dataclass(frozen=True)
class _Marks:
    """How far each stage had come when systemd was last told that all is well."""

    camera_ns: int
    sent: int


class Watchdog:
    """Tells systemd that the station lives when capture and publishing have advanced and the model
    works.

    A camera that is being opened again has advanced. A model that has failed several times in a
    row does not work: a restart may bring its device back. One that hangs is told by the worker.
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
        works = self._inspector.failed_in_a_row < FAILED_IN_A_ROW
        published = now.sent > self._marks.sent
        if not (captured and works and published):
            return False
        self._marks = now
        self._notifier.alive()
        return True

    @property
    def _camera_is_lost(self) -> bool:
        return self._capture.status.state is not CaptureState.RUNNING

    def _read(self) -> _Marks:
        return _Marks(self._capture.last_beat_ns, self._publisher.sent)
