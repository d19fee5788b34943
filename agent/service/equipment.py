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
    """Where commands come from: a socket to wake up for, and how long its owner can wait."""

    @property
    def socket(self) -> zmq.Socket[bytes]: ...

    @property
    def rests(self) -> bool: ...

    @property
    def patience_s(self) -> float: ...


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
