"""What a bundle says of labelled images, on the engine that will run."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from agent.bundle import Bundle
from agent.engine import Engine, EngineFault
from agent.engine.devices import is_among
from agent.errors import InputError
from agent.inspection import Inspection, inspect
from agent.picture import glance_at
from agent.record import CalibrationRecord, check_record
from agent.service.picture import PictureCheck
from agent.view import View
from training.dataset import LabelledImage

WARM_UP = 3
REFERENCE_RATE = 0.02
# Runtime, device, precision.
Choice = tuple[str, str, str]


@dataclass(frozen=True)
class Outcome:
    """What one engine said of every test image.

    scores: float64 [N]; maps: float32 [N, H, W]; latency_ms: float64 [N], of all tiles of an
    image, from its pixels to its score; faults: str [N], what the station finds wrong with a
    picture in place of judging it, such as "dark", empty where it judges; threshold: of its
    calibration, where there is one.
    """

    runtime: str
    device: str
    precision: str
    scores: NDArray[np.float64]
    maps: NDArray[np.float32]
    latency_ms: NDArray[np.float64]
    faults: NDArray[np.str_]
    threshold: float | None = None

    @property
    def engine(self) -> str:
        """Its name among those of a table."""
        return f"{self.runtime} {self.precision} on {self.device}"

    @property
    def judged(self) -> NDArray[np.bool_]:
        """Which images the station judges, bool [N]."""
        return self.faults == ""

    def rejects(self, defective: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which images it rejects, bool [N].

        Without a threshold of its own, at the one that rejects `REFERENCE_RATE` of the good ones.
        """
        if self.threshold is not None:
            return self.scores > self.threshold
        return self.scores > np.quantile(self.scores[~defective], 1 - REFERENCE_RATE)


def has_device(runtime: str, device: str) -> bool:
    """Whether a runtime that is installed knows a device by this name, such as GPU of GPU.0."""
    try:
        there = import_module(f"agent.engine.{runtime}").devices()
    except ImportError:
        return False
    return is_among(device, there)


def inspect_all(
    engine: Engine,
    view: View,
    canvases: NDArray[np.uint8],
    record: CalibrationRecord | None = None,
) -> Outcome:
    """Run `engine` over canvases uint8 [N, H, W, 3], one at a time, as the line does.

    Args:
        record: its calibration. Without one the station's faults are those that the view tells.

    Raises:
        InputError: it has no usable answer for one of them.
    """
    for canvas in canvases[:WARM_UP]:
        _inspect(engine, view, canvas)
    scores, maps, milliseconds = [], [], []
    for canvas in canvases:
        started = perf_counter()
        inspection = _inspect(engine, view, canvas)
        milliseconds.append(1e3 * (perf_counter() - started))
        scores.append(inspection.score)
        maps.append(inspection.anomaly_map)
    return Outcome(
        engine.fingerprint.runtime,
        engine.fingerprint.device,
        engine.fingerprint.precision,
        np.array(scores),
        np.stack(maps),
        np.array(milliseconds),
        _faults(canvases, view, record),
        record.threshold if record is not None else None,
    )


def _faults(
    canvases: NDArray[np.uint8], view: View, record: CalibrationRecord | None
) -> NDArray[np.str_]:
    """The word for what the station finds wrong with each picture; empty where it is none."""
    check = PictureCheck(record.picture if record is not None else None, view.coloured)
    # Test images follow nobody: none of them can be frozen.
    faults = (check.fault(canvas, glance_at(canvas), None) for canvas in canvases)
    return np.array([(fault or "").partition(":")[0] for fault in faults])


def _inspect(engine: Engine, view: View, canvas: NDArray[np.uint8]) -> Inspection:
    try:
        return inspect(engine, view, canvas)
    except EngineFault as fault:
        raise InputError(
            f"{engine.fingerprint} gave no usable answer for a test image: {fault}: use another "
            "precision, runtime or device"
        ) from fault


def by_engine(
    records: list[CalibrationRecord], bundle: Bundle, chosen: list[Choice]
) -> dict[Choice, CalibrationRecord]:
    """The record of each (runtime, device, precision) that has one.

    Raises:
        InputError: a record is of another bundle, of an engine that is not chosen, or two are of
            one engine.
    """
    found: dict[Choice, CalibrationRecord] = {}
    for record in records:
        check_record(record, bundle, record.engine)
        engine = record.engine
        key = (engine.runtime, engine.device, engine.precision)
        if key not in chosen:
            raise InputError(f"the calibration is of {engine}, which is not evaluated here")
        if key in found:
            raise InputError(f"two calibrations are of {engine}: give one of them")
        found[key] = record
    return found


def check_test_set(items: list[LabelledImage], apart: set[str]) -> None:
    """Refuse a set that no figure can be computed on."""
    kinds = {item.kind for item in items}
    if unknown := apart - kinds:
        raise InputError(f"--apart {', '.join(sorted(unknown))}: the test set has no such kind")
    left = [item for item in items if item.kind not in apart]
    if not any(item.defective for item in left) or all(item.defective for item in left):
        raise InputError(
            "the data has no test/good beside test/<defect>: evaluation needs both good and "
            "defective images"
        )
