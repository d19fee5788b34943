"""The calibration record: a reject threshold with what it promises and what it was taken on."""

from __future__ import annotations

import json
from bisect import bisect_left
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from agent.bundle import Bundle
from agent.engine.base import Fingerprint
from agent.errors import InputError
from agent.files import write_atomically

SCHEMA = 1
Rate = Annotated[float, Field(gt=0, lt=1)]


class CalibrationRecord(BaseModel):
    """A part is rejected if and only if its score is above `threshold`."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_version: int = Field(alias="schema", description="version of this format")
    bundle_sha256: str = Field(description="the bundle that the scores come from")
    engine: Fingerprint = Field(description="the engine that the scores come from")
    threshold: FiniteFloat = Field(description="in the graph's raw score units, logits")
    requested_false_reject_rate: Rate
    supported_false_reject_rate: Rate = Field(
        description="bound on the expected false-reject rate, at least as far as n allows"
    )
    confidence: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        description="probability that the bound holds for this sample; None: it holds on average "
        "over samples"
    )
    n: int = Field(gt=0, description="number of normal parts scored")
    scores: list[FiniteFloat] = Field(description="their scores, ascending")
    camera_settings_digest: str | None = Field(
        description="sha256 of the camera's settings; None for images from files"
    )
    created_at: str = Field(description="UTC, ISO 8601")

    @model_validator(mode="after")
    def _check_scores(self) -> CalibrationRecord:
        if len(self.scores) != self.n:
            raise ValueError(f"n is {self.n}, but there are {len(self.scores)} scores")
        if any(a > b for a, b in zip(self.scores, self.scores[1:], strict=False)):
            raise ValueError("the scores are not in ascending order")
        return self

    def p_value(self, score: float) -> float:
        """Conformal p-value of a score, in (0, 1]: how unusual it is among normal parts.

        (1 + number of calibration scores >= score) / (n + 1), Bates et al., arXiv 2104.08279,
        equation 2. A NaN counts as above every score.
        """
        below = self.n if score != score else bisect_left(self.scores, score)
        return (1 + self.n - below) / (self.n + 1)


def read_record(path: Path) -> CalibrationRecord:
    """Read a calibration record.

    Raises:
        InputError: it cannot be read, is not a calibration record, or is of a newer schema.
    """
    path = Path(path)
    try:
        fields = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot read the calibration {path}: {error.strerror}") from error
    except ValueError as error:
        raise InputError(
            f"{path} is not a calibration record: give a file from normline calibrate"
        ) from error
    schema = fields.get("schema") if isinstance(fields, dict) else None
    if isinstance(schema, int) and schema > SCHEMA:
        raise InputError(
            f"{path} is of schema {schema}, this normline reads up to {SCHEMA}: update normline"
        )
    try:
        return CalibrationRecord.model_validate(fields)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"])) or "content"
        raise InputError(
            f"{path} is not a calibration record ({where}: {problem['msg']}): "
            "give a file from normline calibrate"
        ) from error


def write_record(path: Path, record: CalibrationRecord) -> None:
    """Write a calibration record in one step; raises InputError when that is not possible."""
    write_atomically(path, record.model_dump_json(by_alias=True, indent=1).encode() + b"\n")


def check_record(record: CalibrationRecord, bundle: Bundle, fingerprint: Fingerprint) -> None:
    """Refuse a threshold that was taken from another model or on another engine.

    Raises:
        InputError: names exactly what differs.
    """
    pairs = [("bundle", record.bundle_sha256, bundle.sha256)]
    pairs += [
        (name, getattr(record.engine, name), getattr(fingerprint, name))
        for name in Fingerprint.model_fields
    ]
    differences = [
        f"{name} {taken[:12]} instead of {here[:12]}"
        for name, taken, here in pairs
        if taken != here
    ]
    if differences:
        raise InputError(
            f"the calibration was made with {', '.join(differences)}: "
            "run normline calibrate for this bundle on this engine"
        )
