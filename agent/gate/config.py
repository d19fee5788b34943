"""The gate file: which station it obeys, what it sees, and what it drives."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from agent.errors import InputError
from agent.messaging.endpoint import check_endpoint
from agent.section import FilePath, Section, StationName, read_yaml


def _endpoint(endpoint: str) -> str:
    try:
        return check_endpoint(endpoint)
    except InputError as error:
        raise ValueError(str(error)) from error


Endpoint = Annotated[str, AfterValidator(_endpoint)]
Milliseconds = Annotated[float, Field(gt=0, le=3_600_000)]


class Endpoints(Section):
    """Where the station is heard, as in its station file under publish."""

    verdicts: Endpoint = Field("tcp://127.0.0.1:5556", description="verdicts and heartbeat")
    commands: Endpoint = Field("tcp://127.0.0.1:5558", description="triggers")


class Output(Section):
    """What lets a part through while it is driven, and rejects it otherwise."""

    uri: str = Field(
        pattern=r"^(gpio|file)://",
        description="gpio:///dev/gpiochip0/17, or a file:// that takes 1 and 0",
    )
    signal: Literal["level", "alternating"] = Field(
        description="alternating: driven means changing with every look, for a relay that falls "
        "when the changes stop, as they do when this program is killed or the machine hangs; "
        "level: simply on, and then it stays on: for trials, or where something else rejects",
    )


class Travel(Section):
    """From where a part is seen to the gate: in time, or in counts of an encoder."""

    delay_ms: Milliseconds | None = Field(
        None, description="for a belt that never stops: after any stop wrong parts are let through"
    )
    window_ms: Milliseconds | None = Field(None, description="how long a part is at the gate")
    encoder: str | None = Field(
        None, pattern=r"^file://", description="file:// with the count, for a belt that may stop"
    )
    delay_counts: int | None = Field(None, gt=0, description="from the sensor to the gate")
    window_counts: int | None = Field(None, gt=0, description="the length of a part at the gate")

    @model_validator(mode="after")
    def _one_way_to_measure(self) -> Travel:
        in_time = (self.delay_ms, self.window_ms)
        in_counts = (self.encoder, self.delay_counts, self.window_counts)
        if not ((all(in_time) and not any(in_counts)) or (all(in_counts) and not any(in_time))):
            raise ValueError(
                "give delay_ms and window_ms, or encoder, delay_counts and window_counts"
            )
        if self.window >= self.distance:
            raise ValueError("the window must be shorter than the delay")
        return self

    @property
    def distance(self) -> int:
        """In counts, or in nanoseconds."""
        return self.delay_counts or round((self.delay_ms or 0) * 1e6)

    @property
    def window(self) -> int:
        """In counts, or in nanoseconds."""
        return self.window_counts or round((self.window_ms or 0) * 1e6)


class GateFile(Section):
    """A gate file."""

    station: StationName = Field(description="the station whose verdicts count")
    endpoints: Endpoints = Field(
        default_factory=lambda: Endpoints.model_validate({}), description="where it is heard"
    )
    key: FilePath | None = Field(None, description="from normline keys create, roles read, trigger")
    sensor: str = Field(
        pattern=r"^(gpio|fifo)://",
        description="gpio:///dev/gpiochip0/4: a rising edge is a part; or a named pipe, fifo://, "
        "that brings one part id a line",
    )
    output: Output = Field(description="what it drives")
    travel: Travel = Field(description="from the sensor to the gate")
    in_view_ms: Milliseconds = Field(
        description="how long after the sensor a part is still before the camera, where the belt "
        "is fastest: a picture taken later may show another part, and lets nothing through",
    )
    accept_simulated: bool = Field(
        False, description="let parts through on pictures that no camera took; for trials only"
    )


def load_gate(path: Path) -> GateFile:
    """Read a gate file; relative paths in it are relative to its own folder.

    Raises:
        InputError: it cannot be read, is not YAML, or a key is unknown, missing or wrong.
    """
    return read_yaml(path, GateFile, "gate file")
