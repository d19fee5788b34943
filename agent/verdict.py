"""The verdict: what a station says of one part, as PLC and MES receive it."""

from __future__ import annotations

from enum import Enum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, NonNegativeInt, model_validator


class Outcome(str, Enum):
    """Only PASS lets a part through; the gate treats all else, and silence, alike."""

    PASS = "PASS"
    REJECT = "REJECT"
    NO_DECISION = "NO_DECISION"


class Reason(str, Enum):
    """Why there is no decision."""

    CAMERA_FAULT = "CAMERA_FAULT"
    """The camera gave no usable frame."""
    OVERRUN = "OVERRUN"
    """More triggers were waiting than the station takes."""
    DEADLINE = "DEADLINE"
    """The answer was not there in time."""
    ENGINE_FAULT = "ENGINE_FAULT"
    """The model gave no finite score."""
    NOT_READY = "NOT_READY"
    """The station was stopped, still starting or at fault, or is not run by triggers."""
    INTERRUPTED = "INTERRUPTED"
    """The station was stopped, lost power or slept between the trigger and the verdict."""


class Message(BaseModel):
    """One JSON object on the wire; receivers of the same schema version refuse unknown fields."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        populate_by_name=True,
        json_schema_serialization_defaults_required=True,
    )

    def to_json(self) -> bytes:
        """The message as UTF-8 JSON."""
        return self.model_dump_json(by_alias=True).encode()


class Box(BaseModel):
    """A rectangle in camera pixels, with its top left corner at (x, y)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    x: NonNegativeInt
    y: NonNegativeInt
    width: int = Field(gt=0)
    height: int = Field(gt=0)


class Region(BaseModel):
    """A connected area of the part that looks wrong."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    box: Box
    area: int = Field(ge=1, description="in camera pixels")
    peak: FiniteFloat = Field(description="largest value of the anomaly map, raw score units")


def elapsed_ms(start_ns: int, end_ns: int) -> float:
    """Milliseconds between two readings of the monotonic clock, to the microsecond."""
    return round((end_ns - start_ns) / 1e6, 3)


class Durations(BaseModel):
    """Time spent per stage in milliseconds, by a monotonic clock; null for a stage not reached."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, json_schema_serialization_defaults_required=True
    )

    capture: FiniteFloat | None = Field(
        None, description="from the trigger to the frame; null in free run"
    )
    queue: FiniteFloat | None = Field(
        None, description="from the frame's capture to the start of its inspection"
    )
    inference: FiniteFloat | None = Field(None, description="resize, model and score")
    decide: FiniteFloat | None = Field(None, description="threshold, p-value and regions")
    publish: FiniteFloat | None = Field(
        None,
        description="from the decision to the sending of the verdict before this one: "
        "a message cannot hold the time of its own sending",
    )


class Verdict(Message):
    """What the station says of one part."""

    schema_id: Literal["normline/verdict/1"] = Field("normline/verdict/1", alias="schema")
    epoch: int = Field(ge=1, description="grows with every start of the station")
    seq: int = Field(ge=1, description="grows by one with every verdict of an epoch, never reused")
    result_id: str = Field(description="epoch-seq, unique for this station")
    part_id: str = Field(description="as triggered; in free run the name of the frame")
    product_id: str = Field(description="the product that the model inspects")
    recipe_id: str = Field(description="sha256 of the bundle")
    verdict: Outcome
    reason: Reason | None = Field(description="given with NO_DECISION, and only then")
    score: FiniteFloat | None = Field(description="raw score; null when nothing was scored")
    threshold: FiniteFloat = Field(description="a part passes only with a score up to this")
    p_value: float | None = Field(
        gt=0, le=1, description="share of normal parts that look at least as unusual"
    )
    review: bool = Field(
        False, description="a REJECT so close to the limit that a person should look at the part"
    )
    regions: tuple[Region, ...] = Field(description="of a REJECT, the largest peak first")
    captured_at: str | None = Field(
        description="UTC, ISO 8601; null when the verdict was given without a frame"
    )
    durations_ms: Durations
    deadline_ms: FiniteFloat | None = Field(
        gt=0, description="after the trigger, in free run after the capture; null for none"
    )
    late: bool = Field(description="decided after its deadline; never to be acted on")
    simulated: bool = Field(description="the frame comes from a file or a rendering")

    @model_validator(mode="after")
    def _check_reason(self) -> Verdict:
        if (self.verdict is Outcome.NO_DECISION) != (self.reason is not None):
            raise ValueError("a reason belongs to NO_DECISION, and only to it")
        if self.review and self.verdict is not Outcome.REJECT:
            raise ValueError("only a REJECT can be for review")
        if self.late and self.verdict is Outcome.PASS:
            raise ValueError("a late part cannot pass")
        return self


class LateResult(Message):
    """What was found on a part after its deadline had answered it; never to be acted on."""

    schema_id: Literal["normline/late/1"] = Field("normline/late/1", alias="schema")
    epoch: int = Field(ge=1, description="of the verdict DEADLINE that the part got")
    seq: int = Field(ge=1, description="of that verdict")
    part_id: str = Field(description="as in that verdict")
    found: Outcome = Field(description="what the verdict would have been in time")
    reason: Reason | None = Field(description="given with NO_DECISION, and only then")
    score: FiniteFloat | None = Field(description="raw score; null when nothing was scored")
    p_value: float | None = Field(gt=0, le=1, description="as in a verdict")
    regions: tuple[Region, ...] = Field(description="of a REJECT, the largest peak first")
