"""The golden self-test: does this engine still say what the fp32 model said at export?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agent.bundle import Bundle
from agent.engine.base import Engine, EngineFault
from agent.errors import InputError
from agent.golden import Golden
from agent.manifest import Tolerance


@dataclass(frozen=True)
class Deviation:
    """Distance from the golden values, in logits, defined as the manifest's tolerances are.

    score: largest absolute difference of a frame's score.
    map: mean absolute difference over a frame's map, on the worst frame.
    """

    score: float
    map: float


def deviation(engine: Engine, golden: Golden) -> Deviation:
    """Measure an engine on the golden frames; it must also answer pictures all light or all dark.

    Raises:
        EngineFault: a frame has no finite score.
    """
    score = map_ = 0.0
    for frame, golden_score, golden_map in zip(
        golden.frames, golden.scores, golden.maps, strict=True
    ):
        inspection = engine.infer(frame)
        score = max(score, abs(inspection.score - float(golden_score)))
        map_ = max(map_, float(np.abs(inspection.anomaly_map - golden_map).mean()))
    # In 16 bits these are what would overflow first.
    for level in (0, 255):
        engine.infer(np.full((*engine.input_size, 3), level, np.uint8))
    return Deviation(score, map_)


def golden_scores(engine: Engine, bundle: Bundle) -> list[float]:
    """What an engine says of the golden frames.

    Raises:
        InputError: one has no finite score.
    """
    try:
        return [engine.infer(frame).score for frame in bundle.golden().frames]
    except EngineFault as fault:
        raise _failed(engine, fault) from fault


def within_tolerance(found: Deviation, tolerance: Tolerance) -> bool:
    """Whether an engine is as close to the golden values as the bundle demands."""
    return found.score <= tolerance.score and found.map <= tolerance.map


def self_test(engine: Engine, bundle: Bundle) -> Deviation:
    """Refuse an engine that strays from the golden values beyond the manifest's tolerance.

    Raises:
        InputError: with the figures.
    """
    precision = engine.fingerprint.precision
    tolerance = bundle.manifest.tolerances[precision]
    try:
        found = deviation(engine, bundle.golden())
    except EngineFault as fault:
        raise _failed(engine, fault) from fault
    if not within_tolerance(found, tolerance):
        raise InputError(
            f"the self-test failed on {engine.fingerprint}: scores differ from the golden ones by "
            f"{found.score:.4g} (tolerance {tolerance.score:.4g}) and maps by {found.map:.4g} "
            f"(tolerance {tolerance.map:.4g}): use another precision, runtime or device"
        )
    return found


def _failed(engine: Engine, fault: EngineFault) -> InputError:
    return InputError(f"the self-test failed on {engine.fingerprint}: {fault}")
