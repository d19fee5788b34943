"""How good a bundle is on a labelled data set, on the engine that will run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.engine import Engine
from agent.errors import InputError
from training.dataset import LabelledImage
from training.metrics import image_auroc, pixel_metrics

WARM_UP = 3


@dataclass(frozen=True)
class Outcome:
    """What one engine said of every test image.

    scores: float64 [N]; maps: float32 [N, H, W]; latency_ms: float64 [N], frame to score.
    """

    runtime: str
    precision: str
    scores: NDArray[np.float64]
    maps: NDArray[np.float32]
    latency_ms: NDArray[np.float64]


@dataclass(frozen=True)
class Report:
    """One row of the table.

    auroc_by_kind: image AUROC of each kind of defect against the good parts.
    agreement: share of images with the verdict that the reference gives, each engine at the
        threshold that rejects `REFERENCE_RATE` of the good test parts by the reference.
    """

    runtime: str
    precision: str
    image_auroc: float
    pixel_auroc: float | None
    pixel_ap: float | None
    aupro: float | None
    auroc_by_kind: dict[str, float]
    agreement: float
    p50_ms: float
    p99_ms: float


REFERENCE_RATE = 0.02


def inspect_all(engine: Engine, frames: NDArray[np.uint8]) -> Outcome:
    """Run `engine` over frames uint8 [N, H, W, 3], one at a time, as the line does."""
    for frame in frames[:WARM_UP]:
        engine.infer(frame)
    seen = [timed_infer(engine, frame) for frame in frames]
    return Outcome(
        engine.fingerprint.runtime,
        engine.fingerprint.precision,
        np.array([score for score, _, _ in seen]),
        np.stack([map_ for _, map_, _ in seen]),
        np.array([milliseconds for _, _, milliseconds in seen]),
    )


def report(
    outcome: Outcome,
    reference: Outcome,
    items: list[LabelledImage],
    masks: NDArray[np.bool_],
    apart: set[str],
) -> Report:
    """Judge an outcome; the headline figures leave out the kinds in `apart`.

    Args:
        reference: the outcome that agreement is measured against.
        masks: bool [N, H, W].
    """
    kinds = np.array([item.kind for item in items])
    defective = np.array([item.defective for item in items])
    headline = ~np.isin(kinds, list(apart))
    by_kind = {}
    for kind in sorted(set(kinds[defective])):
        chosen = (kinds == kind) | ~defective
        by_kind[str(kind)] = image_auroc(defective[chosen], outcome.scores[chosen])
    pixels = None
    if all(item.mask_path for item in items if item.defective):
        pixels = pixel_metrics(outcome.maps[headline], masks[headline])
    threshold = np.quantile(reference.scores[~defective], 1 - REFERENCE_RATE)
    agreement = np.mean((outcome.scores > threshold) == (reference.scores > threshold))
    return Report(
        outcome.runtime,
        outcome.precision,
        image_auroc(defective[headline], outcome.scores[headline]),
        pixels.auroc if pixels else None,
        pixels.ap if pixels else None,
        pixels.aupro if pixels else None,
        by_kind,
        float(agreement),
        float(np.percentile(outcome.latency_ms, 50)),
        float(np.percentile(outcome.latency_ms, 99)),
    )


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
