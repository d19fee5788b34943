"""The station file: what stands at one place of a line, and how it inspects."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from agent.errors import InputError
from agent.messaging.endpoint import check_loopback

TRIGGERED_DEADLINE_MS = 1000.0


def _beside_the_file(path: Path, info: ValidationInfo) -> Path:
    folder: Path = info.context["folder"] if info.context else Path()
    return folder / path.expanduser()


def _loopback(endpoint: str) -> str:
    try:
        return check_loopback(endpoint)
    except InputError as error:
        raise ValueError(str(error)) from error


# A path is text in YAML; strict types would refuse it.
FilePath = Annotated[Path, Field(strict=False), AfterValidator(_beside_the_file)]
Endpoint = Annotated[str, AfterValidator(_loopback)]
# Names become levels of a topic, which end at a slash.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$", max_length=64)]


class Section(BaseModel):
    """Strict: a mistyped key or type is refused, never ignored or converted."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class StationName(Section):
    """Where the station stands; the levels of its topics (ISA-95 equipment path)."""

    site: Name = Field(description="the plant")
    line: Name = Field(description="the production line")
    name: Name = Field(description="the station on the line")


class Product(Section):
    """What is inspected."""

    bundle: FilePath = Field(description="the model, from normline export (.nlb)")
    calibration: FilePath = Field(description="the threshold, from normline calibrate (.cal.json)")


class CameraSettings(Section):
    """Where frames come from and what asks for them."""

    uri: str = Field(
        min_length=1,
        description="synthetic://, folder://, file://, v4l2:// or rtsp://, with its settings",
    )
    mode: Literal["free_run", "triggered", "camera_triggered"] = Field(
        "free_run",
        description="inspect the newest frame always; one frame for each trigger command; or every "
        "frame, from a camera that a sensor triggers: one frame is one part",
    )
    pending_limit: int = Field(
        8, ge=1, le=128, description="parts that may wait for their inspection; more are OVERRUN"
    )
    deadline_ms: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="a verdict later than this after the trigger (free run: after the capture) "
        f"is NO_DECISION; default {TRIGGERED_DEADLINE_MS:.0f} when triggered, none in free run",
    )

    @model_validator(mode="before")
    @classmethod
    def _always_answer_a_trigger(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("mode") in ("triggered", "camera_triggered"):
            return {"deadline_ms": TRIGGERED_DEADLINE_MS, **values}
        return values


class EngineSettings(Section):
    """What runs the model; the calibration must have been made on the same."""

    runtime: str = Field("openvino", description="openvino or onnxruntime")
    device: str = Field("CPU", description="CPU, GPU, NPU (openvino); CPU, CUDA, TensorRT")
    precision: str = Field("int8", description="fp32, fp16 or int8")


class Publish(Section):
    """ZeroMQ endpoints, on loopback addresses."""

    verdicts: Endpoint = Field("tcp://127.0.0.1:5556", description="XPUB: verdicts, heartbeat")
    replay: Endpoint = Field("tcp://127.0.0.1:5557", description="ROUTER: what was missed")
    commands: Endpoint = Field("tcp://127.0.0.1:5558", description="ROUTER: triggers, start, stop")

    @model_validator(mode="after")
    def _differ(self) -> Publish:
        if len({self.verdicts, self.replay, self.commands}) < 3:
            raise ValueError("verdicts, replay and commands need an endpoint each")
        return self


class JournalSettings(Section):
    """The durable record of every verdict."""

    path: FilePath = Field(description="an SQLite file, made when missing")
    acknowledged_days: float = Field(
        30,
        ge=0,
        allow_inf_nan=False,
        description="age at which verdicts that every client has acknowledged are removed",
    )
    max_mb: float = Field(
        1000,
        ge=1,
        allow_inf_nan=False,
        description="size at which the oldest are removed, acknowledged or not (about 1 kB each)",
    )
    on_fault: Literal["continue", "stop"] = Field(
        "continue",
        description="with its disk full or read-only or its file corrupt: inspect on and raise an "
        "alarm, or decide nothing until it can be written",
    )


class EvidenceSettings(Section):
    """Pictures of parts, for people to look at."""

    path: FilePath | None = Field(
        None, description="a folder, made when missing; no pictures are kept when left out"
    )
    keep: Literal["rejects", "all"] = Field(
        "rejects", description="pictures of all that did not pass, or of every part"
    )
    max_mb: float = Field(
        1000,
        ge=1,
        allow_inf_nan=False,
        description="what they may take; the oldest go first, those of passed parts before others",
    )
    min_free_mb: float = Field(
        500, ge=0, allow_inf_nan=False, description="with less left on the disk none are kept"
    )


class Station(Section):
    """A station file."""

    station: StationName = Field(description="where it stands")
    product: Product = Field(description="what it inspects")
    camera: CameraSettings = Field(description="where frames come from")
    engine: EngineSettings = Field(
        default_factory=lambda: EngineSettings.model_validate({}), description="what runs the model"
    )
    publish: Publish = Field(
        default_factory=lambda: Publish.model_validate({}), description="where it is heard"
    )
    journal: JournalSettings = Field(description="the durable record")
    evidence: EvidenceSettings = Field(
        default_factory=lambda: EvidenceSettings.model_validate({}),
        description="pictures of parts",
    )


def load_station(path: Path) -> Station:
    """Read a station file; relative paths in it are relative to its own folder.

    Raises:
        InputError: it cannot be read, is not YAML, or a key is unknown, missing or wrong.
    """
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"cannot read the station file {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a station file: it is not UTF-8 text") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        raise InputError(f"{path} is not YAML{where}: check indentation and quotes") from error
    try:
        return Station.model_validate(content, context={"folder": path.parent})
    except ValidationError as error:
        raise InputError(f"{path}: {_explain(error)}") from error


def _explain(error: ValidationError) -> str:
    # A mistyped key is also a missing one; the former says more.
    problem = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
    where = ".".join(map(str, problem["loc"]))
    if problem["type"] == "extra_forbidden":
        return f"unknown key {where} (known here: {', '.join(_keys_at(problem['loc'][:-1]))})"
    if problem["type"] == "missing":
        return f"the key {where} is missing"
    if problem["type"] in ("model_type", "model_attributes_type"):
        keys = ", ".join(_keys_at(problem["loc"]))
        return f"{where or 'the file'}: expected a section with the keys {keys}"
    if problem["type"] == "value_error":
        return f"{where}: {problem['ctx']['error']}"
    message = problem["msg"]
    return f"{where}: {message[:1].lower()}{message[1:]}, got {problem['input']!r}"


def _keys_at(location: tuple[int | str, ...]) -> list[str]:
    model: Any = Station
    for key in location:
        model = model.model_fields[key].annotation
    return list(model.model_fields)
