"""What a subscriber is told, beside the messages of the station themselves."""

from __future__ import annotations

from dataclasses import dataclass

from agent.messaging.status import DriftAlarm, Heartbeat, StateChange
from agent.verdict import Verdict


@dataclass(frozen=True)
class Gap:
    """Verdicts of an epoch that were published and that nobody has any more, first to last."""

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


Event = Verdict | Heartbeat | StateChange | DriftAlarm | Gap | Silence

MESSAGES: dict[str, type[Verdict] | type[Heartbeat] | type[StateChange] | type[DriftAlarm]] = {
    "verdict": Verdict,
    "heartbeat": Heartbeat,
    "state": StateChange,
    "drift": DriftAlarm,
}
