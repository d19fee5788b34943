"""What a subscriber is told, beside the messages of the station themselves."""

from __future__ import annotations

from dataclasses import dataclass

from agent.client.position import Position
from agent.messaging.status import DriftAlarm, Heartbeat, StateChange
from agent.verdict import LateResult, Verdict


@dataclass(frozen=True)
class Gap:
    """Verdicts of an epoch that were published, first to last, and that nobody has any more; or
    that this client cannot read, as a newer normline made them: the station has those.
    """

    epoch: int
    first: int
    last: int

    @property
    def count(self) -> int:
        """Number of verdicts missed."""
        return self.last - self.first + 1


@dataclass(frozen=True)
class Silence:
    """Nothing is heard of the station: no part is inspected. With `over`, it is heard again."""

    over: bool


@dataclass(frozen=True)
class Behind:
    """The station has begun an epoch that lies before the position: its clock and its journal were
    lost. What it says of parts is taken for old, and none of it is delivered.
    """

    epoch: int
    position: Position


Message = Verdict | LateResult | Heartbeat | StateChange | DriftAlarm
Event = Message | Gap | Silence | Behind

MESSAGES: dict[str, type[Message]] = {
    "verdict": Verdict,
    "late": LateResult,
    "heartbeat": Heartbeat,
    "state": StateChange,
    "drift": DriftAlarm,
}
