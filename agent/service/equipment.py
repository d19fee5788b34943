"""What the loop of a station works with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import zmq

from agent.capture import Capture
from agent.capture.contract import Mode
from agent.journal import Journal
from agent.service.faults import Faults
from agent.service.herald import Herald
from agent.service.results import Results
from agent.service.worker import Worker


class Commands(Protocol):
    """Where commands come from."""

    @property
    def sources(self) -> list[zmq.Socket[bytes] | int]:
        """Sockets and descriptors to wake up for."""

    @property
    def rest_s(self) -> float:
        """Seconds after which to wake up for those that are left waiting; else 0."""


@dataclass(frozen=True)
class Equipment:
    """What the loop works with; all of it open and checked."""

    mode: Mode
    deadline_ms: float | None
    pending_limit: int
    capture: Capture
    worker: Worker
    journal: Journal
    results: Results
    herald: Herald
    faults: Faults
