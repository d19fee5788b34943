"""A line with everything real but its camera, model and socket, which tests hold in hand."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from agent.camera import Frame
from agent.capture import Captured, CaptureState, CaptureStatus
from agent.engine.base import EngineFault, Inspection
from agent.journal import Journal
from agent.messaging.topics import Address
from agent.record import CalibrationRecord
from agent.service.equipment import Equipment
from agent.service.faults import Faults
from agent.service.herald import Herald
from agent.service.inspect import Inspector
from agent.service.line import Line
from agent.service.notify import Notifier
from agent.service.results import Recipe, Results
from agent.service.watchdog import Watchdog
from agent.service.worker import Worker
from agent.view import View
from tests.agent.factories import make_record

ADDRESS = Address("plant1", "line3", "st7")
SIZE = (8, 8)
RECORD = make_record([-3.0, -2.0, -1.0, 0.0], threshold=0.0)
NONE = "NO_DECISION"


class HandCamera:
    """A capture that delivers when the test says so."""

    def __init__(self, pending_limit: int = 2) -> None:
        self.state = CaptureState.RUNNING
        self.pending_limit = pending_limit
        self.pending: deque[str] = deque()
        self.waiting: deque[Captured] = deque()
        self.lost: list[str] = []
        self.missed = 0
        self.delivered = 0

    @property
    def status(self) -> CaptureStatus:
        reason = "unplugged" if self.state is CaptureState.FAULT else ""
        return CaptureStatus(self.state, reason, self.delivered, 0, 0, 0)

    @property
    def last_beat_ns(self) -> int:
        return time.monotonic_ns()

    def trigger(self, token: str) -> bool:
        if self.state is not CaptureState.RUNNING or len(self.pending) >= self.pending_limit:
            return False
        self.pending.append(token)
        return True

    def forget(self, token: str) -> None:
        if token in self.pending:
            self.pending.remove(token)

    descriptor = None

    def take(self, timeout_s: float, *, want: bool = True) -> Captured | None:
        return self.waiting.popleft() if want and self.waiting else None

    def lost_tokens(self) -> tuple[str, ...]:
        lost, self.lost = tuple(self.lost), []
        return lost

    def missed_parts(self) -> int:
        missed, self.missed = self.missed, 0
        return missed

    def deliver(
        self, shape: tuple[int, ...] = (*SIZE, 3), triggered: bool = True, repeats: bool = False
    ) -> None:
        """A frame: for the oldest trigger, or of a free run."""
        token = self.pending.popleft() if triggered else None
        # A picture like no other, as every exposure is.
        image = np.full(shape, self.delivered % 251, np.uint8)
        frame = Frame(image, self.delivered, f"{self.delivered:06d}", time.monotonic_ns(), repeats)
        self.waiting.append(Captured(frame, token))
        self.delivered += 1

    def break_down(self) -> None:
        self.state = CaptureState.FAULT
        self.lost += self.pending
        self.pending.clear()


class ScriptedEngine:
    """Gives the scores of a list, one a frame; None is a fault. It can be held up."""

    input_size = SIZE

    def __init__(self) -> None:
        self.scores: deque[float | None] = deque()
        self.goes_on = threading.Event()
        self.goes_on.set()

    def stir(self) -> None:
        pass

    def infer(self, frame: np.ndarray) -> Inspection:
        self.goes_on.wait(10)
        score = self.scores.popleft() if self.scores else -1.0
        if score is None:
            raise EngineFault("scripted")
        return Inspection(score, np.full(SIZE, score, np.float32), frame)


class NoDoor:
    """Nobody has come."""

    malformed = forbidden = connections = admitted = closed = 0


class Rig:
    """A line under test: what it was given, and what it has published."""

    def __init__(
        self,
        folder: Path,
        mode: str = "triggered",
        deadline_ms: float | None = None,
        record: CalibrationRecord = RECORD,
        *,
        stop_without_journal: bool = False,
    ) -> None:
        self.camera = HandCamera()
        self.engine = ScriptedEngine()
        self.journal = Journal(folder / "journal.db")
        self.published: list[tuple[bytes, dict[str, Any]]] = []
        recipe = Recipe(
            ADDRESS.verdict("tiny"), ADDRESS.late("tiny"), "tiny", "0" * 64, simulated=True
        )
        inspector = Inspector(self.engine, record, View(SIZE), self.journal)
        self.worker = Worker(inspector)
        notifier = Notifier({})
        watchdog = Watchdog(notifier, self.camera, inspector, self.worker)
        self.line = Line(
            Equipment(
                mode=mode,
                deadline_ms=deadline_ms,
                pending_limit=self.camera.pending_limit,
                capture=self.camera,
                worker=self.worker,
                journal=self.journal,
                results=Results(recipe, 0.0, self.journal, self.send),
                herald=Herald(ADDRESS, self.journal, NoDoor, self, notifier, watchdog, record),
                faults=Faults(stop_without_journal=stop_without_journal),
            )
        )

    def turn(self) -> bool:
        """Turns of the line until all that the camera has delivered is dealt with."""
        goes_on = self.line.turn()
        while goes_on and (self.camera.waiting or self.line.is_busy):
            goes_on = self.line.turn()
        return goes_on

    def close(self) -> None:
        self.engine.goes_on.set()
        self.worker.close()
        self.journal.close()

    def send(self, topic: bytes, payload: bytes) -> None:
        self.published.append((topic, json.loads(payload)))

    def drain(self) -> None:
        """Nobody has subscribed."""

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        return [content for topic, content in self.published if f"/{kind}/" in topic.decode()]

    @property
    def verdicts(self) -> list[tuple[str, str, str | None]]:
        """(part id, verdict, reason) of each, in order."""
        return [(v["part_id"], v["verdict"], v["reason"]) for v in self.of_kind("verdict")]

    @property
    def late_results(self) -> list[dict[str, Any]]:
        return self.of_kind("late")

    @property
    def last(self) -> dict[str, Any]:
        return self.of_kind("verdict")[-1]

    @property
    def states(self) -> list[str]:
        return [change["state"] for change in self.of_kind("state")]

    @property
    def heartbeats(self) -> list[dict[str, Any]]:
        return self.of_kind("heartbeat")


MakeRig = Callable[..., Rig]
