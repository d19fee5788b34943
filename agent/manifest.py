"""What a bundle says about itself."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from agent.imaging import Roi

SCHEMA = 1
PRECISIONS = ("fp32", "fp16", "int8")


class Tolerance(BaseModel):
    """How far a precision may stray from the golden fp32 values, in logits.

    `score` bounds the largest absolute difference of a score; `map` bounds the mean absolute
    difference of the pixels of a frame's map, on the worst frame.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    score: float = Field(gt=0, allow_inf_nan=False)
    map: float = Field(gt=0, allow_inf_nan=False)


class Manifest(BaseModel):
    """What a bundle says about itself; stored as `manifest.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_version: int = Field(alias="schema", description="version of this format")
    product: str = Field(min_length=1, description="the product that the model inspects")
    preset: str = Field(description="the training preset")
    input_size: tuple[int, int] = Field(description="(height, width) of the graph's frame")
    region_of_interest: Roi | None = Field(None, description="in camera pixels; None for all")
    ignore_mask: str | None = Field(None, description="member with the pixels left out")
    training_data_digest: str = Field(description="sha256 over the training images")
    code_version: str = Field(description="the normline that made the bundle")
    created_at: str = Field(description="UTC, ISO 8601")
    tolerances: dict[str, Tolerance] = Field(description="by precision, against golden values")
    members: dict[str, str] = Field(description="sha256 of every other member, by name")
