"""The calibration record: a reject threshold with what it promises and what it was taken on.

Beside the threshold it carries what the station compares its parts with: the normal scores, for
p-values and drift, and `picture`, how the normal pictures looked (brightness, sharpness, share of
saturated pixels, difference from one frame to the next), for faults of the camera and the causes
of drift. `record.picture.sharpness.percentile(1)` is what 1 % of the normal frames lie below.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    ValidationError,
    model_validator,
)

from agent.bundle import Bundle
from agent.camera import Settings
from agent.engine.base import Fingerprint
from agent.errors import InputError, first_problem, unknown_field
from agent.files import write_atomically
from agent.picture import decode_thumbnail

SCHEMA = 4
# The last schema whose records need not have a seal.
UNSEALED = 2
# What of a fingerprint its name does not tell.
EXPLAINED = {
    "levels": " (how finely INT8 is computed on this processor)",
    "view": " (how a picture becomes what the model is shown)",
}
# The last field that always counts for a record's name.
NAMED = "confirmed_at"
# Of the scores' spread: by how much an engine may differ from the calibrated one on a golden frame.
# INT8 differs between two runtimes by a fiftieth, from fp32 by a twenty-fifth, and by a third where
# the processor cuts off sums of products.
REPEATED_SHARE = 0.1
# By how much float32 may round otherwise, logits.
ROUNDING = 1e-3
Rate = Annotated[float, Field(gt=0, lt=1)]


def _ascending(values: list[float]) -> list[float]:
    if any(a > b for a, b in zip(values, values[1:], strict=False)):
        raise ValueError("not in ascending order")
    return values


def _thumbnail(text: str) -> str:
    try:
        decode_thumbnail(text)
    except InputError as error:
        raise ValueError(str(error)) from error
    return text


Ascending = Annotated[list[FiniteFloat], AfterValidator(_ascending)]


class RecordSection(BaseModel):
    """Some fields of the record under one name."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Spread(RecordSection):
    """One measure of every normal picture."""

    values: Annotated[Ascending, Field(min_length=1)]

    def percentile(self, percent: float) -> float:
        """What `percent` % of the normal pictures lie below; 0 is the least, 100 the largest."""
        return float(np.percentile(self.values, percent))


class Picture(RecordSection):
    """How pictures of normal parts look; every measure as `agent.picture.look_at` defines it."""

    brightness: Spread = Field(description="mean grey level, 0..255")
    sharpness: Spread = Field(description="edge strength over brightness; falls with defocus")
    saturated: Spread = Field(description="share of pixels with a channel at the upper end")
    difference: Spread = Field(
        description="mean absolute difference from the frame before, grey levels at 64 x 64; a "
        "camera that is frozen, or a line that stands still, lies far below"
    )
    reference: Annotated[str, AfterValidator(_thumbnail)] = Field(
        description="the mean of all pictures, 64 x 64 grey, PNG in base64"
    )


class Review(RecordSection):
    """A band of scores that a person decides on; to the gate it is a reject like any other."""

    requested_rate: Rate = Field(description="further share of normal parts it may hold")
    reject_above: FiniteFloat = Field(description="above it a REJECT is not for review")
    stopped_rate: Rate = Field(
        description="bound on the share of normal parts that do not pass: rejected or in review"
    )


class Refused(RecordSection):
    """A picture that was given and not used."""

    name: str
    reason: str


class CalibrationRecord(BaseModel):
    """A part passes if and only if its score is at most `threshold`.

    With `review`, a part above `threshold` and at most at `review.reject_above` is a REJECT that
    asks for a person's look; the requested and supported rates are then those above
    `reject_above`. The fields from `method` on came after schema 1 and are empty in older records.
    """

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
    scores: Ascending = Field(description="their scores, ascending")
    camera_settings_digest: str | None = Field(
        description="sha256 of the camera's settings; None for images from files"
    )
    created_at: str = Field(description="UTC, ISO 8601")
    method: Literal["split", "cross"] = Field(
        "split", description="cross: the scores come from models of the folds, not from this one"
    )
    review: Review | None = Field(None, description="a second limit, where one is wanted")
    pixel_levels: Ascending = Field(
        [],
        description="of every normal map, the level that a thousandth of its pixels exceed",
    )
    pixel_limit: FiniteFloat | None = Field(
        None,
        description="a region of a reject reaches as far as the map is above this; at most "
        "`threshold`",
    )
    picture: Picture | None = Field(None, description="how the normal pictures look")
    frame_size: tuple[int, int] | None = Field(
        None, description="(height, width) of the camera's images"
    )
    camera_settings: Settings | None = Field(
        None, description="what `camera_settings_digest` is taken of"
    )
    refused: list[Refused] = Field([], description="pictures left out for their quality")
    excluded: list[str] = Field([], description="pictures left out by a person, by name")
    note: str = Field("", description="the operator's")
    confirmed_at: str | None = Field(
        None,
        description="UTC, ISO 8601: when a person said after an alarm that the line is again as it "
        "was for the calibration; drift is watched anew from then on",
    )
    golden_scores: list[FiniteFloat] = Field(
        [], description="of the bundle's golden frames, as the calibrated engine gave them"
    )

    @model_validator(mode="after")
    def _check(self) -> CalibrationRecord:
        if len(self.scores) != self.n:
            raise ValueError(f"n is {self.n}, but there are {len(self.scores)} scores")
        if self.threshold > self.scores[-1]:
            raise ValueError("the threshold is above all scores, one of which it should be")
        if self.review is not None and self.review.reject_above < self.threshold:
            raise ValueError("review.reject_above is below the threshold")
        if self.pixel_limit is not None and self.pixel_limit > self.threshold:
            raise ValueError("the pixel limit is above the threshold")
        return self

    @property
    def sha256(self) -> str:
        """The identity of a record: of its content, whatever the file looks like.

        A field that comes after NAMED counts where it says something: a normline that adds one
        renames no record, whose alarm of drift would end by it. What is added to a section is left
        out where it says nothing, as in `Fingerprint`.
        """
        fields = list(type(self).model_fields.items())
        first = [name for name, _ in fields].index(NAMED) + 1
        empty = {name for name, field in fields[first:] if getattr(self, name) == field.default}
        return hashlib.sha256(
            self.model_dump_json(by_alias=True, exclude=empty).encode()
        ).hexdigest()

    def to_json(self) -> str:
        """What its file holds: the fields, and a seal that shows when one was changed."""
        fields = self.model_dump(mode="json", by_alias=True)
        return json.dumps({**fields, "seal": _seal(fields)}, indent=1)

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
        InputError: it cannot be read, is not a calibration record, is of a newer schema, or was
            changed after it was made.
    """
    path = Path(path)
    try:
        fields = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise InputError(
            f"there is no calibration {path}: make it with normline calibrate"
        ) from error
    except OSError as error:
        raise InputError(f"cannot read the calibration {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path} is not a calibration record: give a file from normline calibrate"
        ) from error
    schema = fields.get("schema") if isinstance(fields, dict) else None
    if isinstance(schema, int) and schema > SCHEMA:
        raise InputError(
            f"{path} is of schema {schema}, this normline reads up to {SCHEMA}: update normline"
        )
    seal = fields.pop("seal", None) if isinstance(fields, dict) else None
    try:
        record = CalibrationRecord.model_validate(fields)
    except ValidationError as error:
        field = unknown_field(error)
        if field is not None and seal == _seal(fields):
            raise InputError(
                f"{path} was made by a newer normline (it has {field}): update normline"
            ) from error
        raise InputError(
            f"{path} is not a calibration record ({first_problem(error)}): "
            "give a file from normline calibrate"
        ) from error
    if seal != _seal(fields) and not (seal is None and record.schema_version <= UNSEALED):
        raise InputError(
            f"{path} was changed after it was made: run normline calibrate, or put a former one "
            "back with normline recalibrate --restore"
        )
    return record


def write_record(path: Path, record: CalibrationRecord) -> None:
    """Write a calibration record in one step; raises InputError when that is not possible."""
    write_atomically(path, record.to_json().encode() + b"\n")


def check_record(record: CalibrationRecord, bundle: Bundle, fingerprint: Fingerprint) -> None:
    """Refuse a threshold that was taken from another model or on another engine.

    Raises:
        InputError: names exactly what differs.
    """
    differences = []
    if record.bundle_sha256 != bundle.sha256:
        differences = [f"bundle {record.bundle_sha256[:12]} instead of {bundle.sha256[:12]}"]
    for name in Fingerprint.model_fields:
        taken, here = getattr(record.engine, name), getattr(fingerprint, name)
        if taken != here:
            differences.append(
                f"{name} {taken or 'not noted'} instead of {here}{EXPLAINED.get(name, '')}"
            )
    if differences:
        raise InputError(
            f"the calibration was made with {', '.join(differences)}: "
            "run normline calibrate for this bundle on this engine"
        )


def check_repeated(record: CalibrationRecord, golden_scores: Sequence[float]) -> None:
    """Refuse an engine that has the calibrated one's fingerprint and not its scores.

    The bundle's tolerance spans good and bad parts alike; a limit suffers from much less. A record
    of before the golden scores were noted is taken for one of the same.

    Args:
        record: one that fits the bundle and the engine's fingerprint.
        golden_scores: of the engine here.

    Raises:
        InputError: with the figures.
    """
    if not record.golden_scores:
        return
    pairs = zip(record.golden_scores, golden_scores, strict=True)
    off = max(abs(taken - here) for taken, here in pairs)
    low, high = np.percentile(record.scores, (16, 84))
    allowed = max(REPEATED_SHARE * (high - low) / 2, ROUNDING)
    if off > allowed:
        raise InputError(
            "the engine does not score as the calibrated one did, though it is the same in name "
            f"(golden frames differ by {off:.3g}, at most {allowed:.3g} is allowed): "
            "run normline calibrate on this machine"
        )


def _seal(fields: dict[str, Any]) -> str:
    """sha256 of a record's fields, whatever their order and the blanks between them.

    Taken of the file, not of the model: no later version may count another field or write a
    number otherwise, and so refuse a record that nobody touched.
    """
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
