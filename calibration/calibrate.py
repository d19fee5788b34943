"""From normal parts to a calibration record, on the engine that will run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

from numpy.typing import NDArray

from agent.bundle import Bundle
from agent.engine import Engine, EngineFault
from agent.errors import InputError
from agent.inspection import inspect
from agent.record import SCHEMA, CalibrationRecord
from agent.view import View
from calibration.threshold import conformal_threshold, largest_score_bound, rank


def calibrate(
    engine: Engine,
    bundle: Bundle,
    frames: Iterable[tuple[str, NDArray[Any]]],
    rate: float,
    *,
    best_effort: bool = False,
    camera_settings_digest: str | None = None,
) -> CalibrationRecord:
    """Score normal parts and set the reject threshold.

    Args:
        engine: loaded from `bundle` and self-tested; the one that the station will use.
        bundle: the model.
        frames: names and camera images of normal parts that the model was not trained on.
        rate: the false-reject rate asked for, in (0, 1).
        best_effort: promise the lowest rate that the number of frames supports, if above `rate`.
        camera_settings_digest: sha256 of the settings of the camera that the frames come from.

    Raises:
        InputError: too few frames, one that occurs twice, or one without a finite score.
    """
    scores = sorted(score_frames(engine, bundle, frames))
    threshold = conformal_threshold(scores, rate, best_effort=best_effort)
    return CalibrationRecord(
        schema_version=SCHEMA,
        bundle_sha256=bundle.sha256,
        engine=engine.fingerprint,
        threshold=threshold.value,
        requested_false_reject_rate=rate,
        supported_false_reject_rate=threshold.supported_rate,
        confidence=None,
        n=threshold.n,
        scores=scores,
        camera_settings_digest=camera_settings_digest,
        created_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )


def score_frames(
    engine: Engine, bundle: Bundle, frames: Iterable[tuple[str, NDArray[Any]]]
) -> list[float]:
    """Scores of camera images, in their order.

    Raises:
        InputError: two images are equal, bit for bit (a part counted twice breaks the promise), or
            an image is not one that the model was trained for, or has no finite score.
    """
    view = View.of(bundle)
    scores: list[float] = []
    seen: dict[bytes, str] = {}
    for name, image in frames:
        digest = hashlib.sha256(image.tobytes()).digest()
        if digest in seen:
            raise InputError(
                f"{name} is the same image as {seen[digest]}: every part may be used only once"
            )
        seen[digest] = name
        try:
            scores.append(inspect(engine, view, view.canvas(image)).score)
        except (EngineFault, InputError) as fault:
            raise InputError(f"{name} cannot be scored: {fault}") from fault
    return scores


def describe(record: CalibrationRecord) -> str:
    """What the record promises, in plain words."""
    n, asked = record.n, record.requested_false_reject_rate
    k = rank(n, asked, best_effort=True)
    supported = record.supported_false_reject_rate
    which = "the largest" if k == 1 else f"number {k} from the top"
    lines = [
        f"threshold {record.threshold:.6g}: {which} of {n} normal scores "
        f"(from {record.scores[0]:.6g} to {record.scores[-1]:.6g})",
        f"promise: of normal parts like these, on average at most {supported:.4%} are rejected "
        f"(asked: {asked:.4%}); the average is over calibrations, this one can do better or worse",
    ]
    if supported > asked:
        lines.append(
            f"this is ABOVE the rate asked for: {n} samples support no less than {supported:.4%}"
        )
    if k == 1:
        lines.append(
            f"for information: with 95 % confidence at most {largest_score_bound(n):.4%} of normal "
            "parts are rejected"
        )
    lines.append(f"valid for {record.engine} and bundle {record.bundle_sha256[:12]} only")
    return "\n".join(lines)
