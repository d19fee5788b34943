"""What a station says of itself: heartbeat and changes of state."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Literal

from pydantic import Field

from agent.states import State
from agent.verdict import Message


class Heartbeat(Message):
    """Sent by the loop that inspects, so its silence means that no part is inspected."""

    schema_id: Literal["normline/heartbeat/1"] = Field("normline/heartbeat/1", alias="schema")
    epoch: int = Field(ge=1, description="as in the verdicts")
    sent_at: str = Field(description="UTC, ISO 8601")
    state: State
    first_seq: int = Field(description="of this epoch")
    last_seq: int = Field(description="last verdict published; first_seq - 1 when none was")
    durable_seq: int = Field(description="last verdict that a power loss would not take")
    camera: str = Field(description="state of the capture process")
    frames: int = Field(ge=0, description="frames captured since the start")
    skipped: int = Field(ge=0, description="frames passed over for a newer one, in free run")
    stale: int = Field(0, ge=0, description="frames dropped because they showed the past")
    camera_restarts: int = Field(ge=0, description="restarts of the capture process")
    picture_fault: str | None = Field(
        None,
        description="why the last picture could not be judged: dark, saturated, frozen, blurred",
    )
    late_in_a_row: int = Field(
        0, ge=0, description="verdicts that missed their deadline since the last in time; 3: Error"
    )
    malformed: int = Field(
        ge=0, description="requests and subscriptions that could not be understood"
    )
    forbidden: int = Field(
        ge=0, description="requests of clients whose key has not the role for them"
    )
    connections: int = Field(ge=0, description="connections made to the station's sockets")
    admitted: int = Field(
        ge=0,
        description="of these, the ones that said in time what they must, with keys one that is "
        "listed; all others were sent away",
    )
    closed: int = Field(ge=0, description="connections that have ended, but for a revocation")
    journal_fault: str | None = Field(
        description="why nothing can be written, or what became of the journal; else null"
    )
    journal_lost: int = Field(
        ge=0, description="changes dropped because too many were waiting to be written"
    )
    journal_forgotten: int = Field(
        0, ge=0, description="verdicts removed for want of room before every client had them"
    )
    evidence_fault: str | None = Field(None, description="why no pictures can be kept; else null")
    evidence_dropped: int = Field(0, ge=0, description="pictures that should have been kept")


class StateChange(Message):
    """Sent when the state changes."""

    schema_id: Literal["normline/state/1"] = Field("normline/state/1", alias="schema")
    epoch: int = Field(ge=1, description="as in the verdicts")
    sent_at: str = Field(description="UTC, ISO 8601")
    previous: State
    state: State
    cause: str = Field(description="in words")


def utc(ago_ns: int = 0) -> str:
    """Now, or `ago_ns` before now, as ISO 8601 with milliseconds."""
    moment = datetime.now(timezone.utc) - timedelta(microseconds=ago_ns / 1000)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
