"""What the line, its capture and the capture process say to each other."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

import numpy as np

from agent.camera.base import Frame, Settings

# What asks for a frame: the line, whenever it is ready; a command, for a part by its id; or a
# sensor that is wired to the camera, so that every frame that comes is a part.
Mode = Literal["free_run", "triggered", "camera_triggered"]


class CaptureState(Enum):
    """STARTING until the camera is open (see `Opened`); FAULT from a failure until it is open
    again; ENDED when a finite source has given its last frame, and when stopped.
    """

    STARTING = "starting"
    RUNNING = "running"
    FAULT = "fault"
    ENDED = "ended"


@dataclass(frozen=True)
class CaptureStatus:
    """reason: why the state is FAULT, else empty; frames: delivered to the line; skipped: frames
    that the line never saw: in free run those that a newer one replaced, camera-triggered those
    that found no room; stale: frames dropped because they showed the past; restarts: of the
    process.
    """

    state: CaptureState
    reason: str
    frames: int
    skipped: int
    stale: int
    restarts: int


@dataclass(frozen=True)
class Captured:
    """A frame for the line, its pixels its own copy.

    token: what the line gave with the trigger that it answers, else None.
    """

    frame: Frame
    token: str | None


# From the capture process to the line. Pixels lie in the ring, only words go through the pipe.


@dataclass(frozen=True)
class Opened:
    """The camera has given its first frame; camera-triggered, it is ready to give one.

    waits: as of the camera.
    """

    settings: Settings
    period_s: float
    waits: bool


@dataclass(frozen=True)
class Ready:
    """A frame lies in a slot, which is the line's until it sends `Release`."""

    slot: int
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    frame_id: int
    name: str
    captured_ns: int
    token: str | None
    skipped: int
    repeats: bool


@dataclass(frozen=True)
class Missed:
    """Camera-triggered frames that came and could not be given; all since the camera was opened."""

    skipped: int


@dataclass(frozen=True)
class Ended:
    """The source has given its last frame."""


@dataclass(frozen=True)
class Failed:
    """Nothing more will come. wrong_input: what was given to the camera is at fault."""

    reason: str
    wrong_input: bool


FromChild = Opened | Ready | Missed | Ended | Failed

# From the line to the capture process. End of the pipe means: stop.


@dataclass(frozen=True)
class Want:
    """The line is ready for one frame."""


@dataclass(frozen=True)
class Release:
    """The line has copied what it needs from a slot."""

    slot: int


@dataclass(frozen=True)
class Trigger:
    """A part is in place; its frame is one that was there to be read only after `after_ns`.

    token: the line's own name for it, as part ids may come again; after_ns: monotonic.
    """

    token: str
    after_ns: int


@dataclass(frozen=True)
class Cancel:
    """The part of this token needs no frame any more."""

    token: str


ToChild = Want | Release | Trigger | Cancel
