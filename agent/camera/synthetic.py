"""A camera over a line that does not exist: every frame shows the next rendered part."""

from __future__ import annotations

import time

from pydantic import Field

from agent.camera import product
from agent.camera.base import Camera, EndOfStream, Frame, Pace, Settings
from agent.camera.rehearsal import RehearsalOptions, rehearse
from agent.camera.uri import CameraUri


class SyntheticOptions(RehearsalOptions):
    rate: float = Field(30, ge=0, le=1000, description="parts a second; 0: as fast as asked")
    defect_rate: float = Field(0.1, ge=0, le=1, description="share of parts with a defect")
    seed: int = Field(1, ge=0, description="another seed, other parts")
    parts: int | None = Field(None, gt=0, description="end after this many; never if left out")
    wait: bool = Field(
        False,
        description="hold the next part until the line has taken this one; without it parts that "
        "come too fast are missed, as on a real line",
    )


class SyntheticCamera(Camera):
    """Renders part 0, 1, 2, ...; the name of a frame is its part's index, six digits."""

    def __init__(self, options: SyntheticOptions) -> None:
        self._options = options
        self._pace = Pace(options.rate)
        self._index = 0
        self.period_s = self._pace.period_s
        self.waits = options.wait or options.rate == 0
        product.prepare()

    def read(self) -> Frame:
        index, options = self._index, self._options
        if index == options.parts:
            raise EndOfStream
        self._pace.wait()
        image, _ = product.render(options.seed, index, options.defect_rate)
        self._index += 1
        return Frame(image, index, f"{index:06d}", time.monotonic_ns())

    def settings(self) -> Settings:
        return {
            "scheme": "synthetic",
            "product": product.NAME,
            "width": product.SIZE,
            "height": product.SIZE,
        }


def open_synthetic(uri: CameraUri) -> Camera:
    """A camera for `synthetic://?...`."""
    options = uri.options(SyntheticOptions)
    return rehearse(SyntheticCamera(options), options)
