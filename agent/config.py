"""The station file: what stands at one place of a line, and how it inspects."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from agent.capture.contract import Mode
from agent.errors import InputError
from agent.evidence import Keep
from agent.journal.opening import OnFault
from agent.messaging.endpoint import check_bindable, is_loopback
from agent.section import FilePath, Section, StationName, read_yaml

TRIGGERED_DEADLINE_MS = 1000.0


def _bindable(endpoint: str) -> str:
    try:
        return check_bindable(endpoint)
    except InputError as error:
        raise ValueError(str(error)) from error


Endpoint = Annotated[str, AfterValidator(_bindable)]


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
    mode: Mode = Field(
        "free_run",
        description="inspect the newest frame always; one frame for each trigger command; or every "
        "frame, from a camera that a sensor triggers: one frame is one part",
    )
    latency_ms: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="of rtsp:// in mode triggered, the longest that a picture takes from the lens "
        "to the station: a trigger is answered with one that came that much later",
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
    """ZeroMQ endpoints; others than loopback addresses need keys."""

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
        description="age at which verdicts are removed that every client, also one long gone, "
        "has acknowledged",
    )
    max_mb: float = Field(
        1000,
        ge=1,
        allow_inf_nan=False,
        description="size at which the oldest are removed, acknowledged or not (about 1 kB each); "
        "every start reads all of it first, 1000 on an SD card for up to a minute",
    )
    on_fault: OnFault = Field(
        "continue",
        description="with its disk full, read-only or hanging, or its file corrupt: inspect on and "
        "raise an alarm, or decide nothing until it can be written",
    )


class EvidenceSettings(Section):
    """Pictures of parts, for people to look at."""

    path: FilePath | None = Field(
        None, description="a folder, made when missing; no pictures are kept when left out"
    )
    keep: Keep = Field(
        "rejects",
        description="the pictures that were judged and did not pass, or all that were judged; of a "
        "row that could not be (CAMERA_FAULT) the first, in either case",
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

    station: StationName = Field(
        description="where it stands, such as {site: plant1, line: line3, name: st7}"
    )
    product: Product = Field(
        description="what it inspects, such as {bundle: part.nlb, calibration: part.cal.json}"
    )
    camera: CameraSettings = Field(
        description='where frames come from, such as {uri: "v4l2:///dev/video0", mode: triggered}'
    )
    engine: EngineSettings = Field(
        default_factory=lambda: EngineSettings.model_validate({}), description="what runs the model"
    )
    publish: Publish = Field(
        default_factory=lambda: Publish.model_validate({}), description="where it is heard"
    )
    journal: JournalSettings = Field(description="the durable record, such as {path: journal.db}")
    evidence: EvidenceSettings = Field(
        default_factory=lambda: EvidenceSettings.model_validate({}),
        description="pictures of parts",
    )
    keys: FilePath | None = Field(
        None, description="folder made by normline keys: only who is listed there may connect"
    )

    @model_validator(mode="after")
    def _keys_for_other_machines(self) -> Station:
        publish = self.publish
        for endpoint in (publish.verdicts, publish.replay, publish.commands):
            if self.keys is None and not is_loopback(endpoint):
                raise ValueError(
                    f"{endpoint} is open to other machines: make keys with normline keys create "
                    "and name their folder as keys, or use a loopback address"
                )
        return self


def load_station(path: Path) -> Station:
    """Read a station file; relative paths in it are relative to its own folder.

    Raises:
        InputError: it cannot be read, is not YAML, or a key is unknown, missing or wrong.
    """
    return read_yaml(path, Station, "station file")
