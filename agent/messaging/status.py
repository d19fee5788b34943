"""What a station says of itself: heartbeat and changes of state."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from agent.states import State
from agent.verdict import Message


class DriftState(BaseModel):
    """Whether parts still score as the calibration's normal parts did."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, json_schema_serialization_defaults_required=True
    )

    state: Literal["IN_CONTROL", "DRIFT"] = Field(
        description="DRIFT stays until another calibration is in force, or this one confirmed"
    )
    evidence: FiniteFloat = Field(
        ge=0,
        description="capital of bets against IN_CONTROL, 1 at the start; DRIFT from 100 on, which "
        "parts that have not changed reach with a probability of at most 1 % in 1,000,000 parts",
    )
    changes: tuple[str, ...] = Field(description="what has changed, in words; of DRIFT only")
    parts: int = Field(
        ge=0,
        description="inspected since the calibration came into force; one that stands still before "
        "the camera counts once",
    )
    calibration: str = Field(description="sha256 of the calibration record's content")


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
    skipped: int = Field(
        ge=0,
        description="frames passed over for a newer one in free run, or for want of room where the "
        "camera triggers",
    )
    stale: int = Field(0, ge=0, description="frames dropped because they showed the past")
    camera_restarts: int = Field(ge=0, description="restarts of the capture process")
    picture_fault: str | None = Field(
        None,
        description="why the last picture could not be judged: dark, saturated, frozen, blurred",
    )
    late_in_a_row: int = Field(
        0,
        ge=0,
        description="times that verdicts missed their deadline since the last in time, all that "
        "one pause of the machine made late being one; 3: Error",
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
    calibration: str = Field(description="sha256 of the calibration in force, of its content")
    drift: DriftState | None = Field(description="null where the calibration allows no watch")
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


class DriftAlarm(Message):
    """Sent for drift, once for each calibration in an epoch; the state stays in every heartbeat."""

    schema_id: Literal["normline/drift/1"] = Field("normline/drift/1", alias="schema")
    epoch: int = Field(ge=1, description="as in the verdicts")
    sent_at: str = Field(description="UTC, ISO 8601")
    drift: DriftState


def utc(ago_ns: int = 0) -> str:
    """Now, or `ago_ns` before now, as ISO 8601 with milliseconds."""
    moment = datetime.now(timezone.utc) - timedelta(microseconds=ago_ns / 1000)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
