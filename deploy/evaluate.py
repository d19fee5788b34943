"""How good a bundle is on a labelled data set, on the engine that will run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import import_module
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from agent.bundle import Bundle
from agent.engine import Engine, EngineFault
from agent.engine.devices import is_among
from agent.errors import InputError
from agent.inspection import Inspection, inspect
from agent.record import CalibrationRecord, check_record
from agent.view import View
from training.dataset import LabelledImage
from training.metrics import image_auroc, pixel_metrics

WARM_UP = 3
REFERENCE_RATE = 0.02
# Runtime, device, precision.
Choice = tuple[str, str, str]


@dataclass(frozen=True)
class Outcome:
    """What one engine said of every test image.

    scores: float64 [N]; maps: float32 [N, H, W]; latency_ms: float64 [N], of all tiles of an
    image, from its pixels to its score; threshold: of its calibration, where there is one.
    """

    runtime: str
    precision: str
    scores: NDArray[np.float64]
    maps: NDArray[np.float32]
    latency_ms: NDArray[np.float64]
    threshold: float | None = None

    def rejects(self, defective: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which images it rejects, bool [N].

        Without a threshold of its own, at the one that rejects `REFERENCE_RATE` of the good ones.
        """
        if self.threshold is not None:
            return self.scores > self.threshold
        return self.scores > np.quantile(self.scores[~defective], 1 - REFERENCE_RATE)


@dataclass(frozen=True)
class Report:
    """One row of the table.

    auroc_by_kind: image AUROC of each kind of defect against the good parts.
    agreement: share of images with the verdict that the reference gives, each at its own threshold,
        as each is calibrated by itself; where one is not calibrated, both at that of the other.
    false_rejects, detected: share of the good parts, and of the defective ones that count for the
        headline, that are rejected at the calibrated threshold; None without one.
    """

    runtime: str
    precision: str
    image_auroc: float
    pixel_auroc: float | None
    pixel_ap: float | None
    aupro: float | None
    auroc_by_kind: dict[str, float]
    agreement: float
    false_rejects: float | None
    detected: float | None
    p50_ms: float
    p99_ms: float


def has_device(runtime: str, device: str) -> bool:
    """Whether a runtime that is installed knows a device by this name, such as GPU of GPU.0."""
    try:
        there = import_module(f"agent.engine.{runtime}").devices()
    except ImportError:
        return False
    return is_among(device, there)


def inspect_all(
    engine: Engine, view: View, canvases: NDArray[np.uint8], threshold: float | None = None
) -> Outcome:
    """Run `engine` over canvases uint8 [N, H, W, 3], one at a time, as the line does.

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
        engine.fingerprint.precision,
        np.array(scores),
        np.stack(maps),
        np.array(milliseconds),
        threshold,
    )


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


def report(
    outcome: Outcome,
    reference: Outcome,
    items: list[LabelledImage],
    masks: NDArray[np.bool_],
    ignored: NDArray[np.bool_] | None,
    apart: set[str],
) -> Report:
    """Judge an outcome; the headline figures leave out the kinds in `apart`.

    Args:
        reference: the outcome that agreement is measured against.
        masks: bool [N, H, W].
        ignored: bool [H, W], pixels that are not inspected; localisation is judged on the others.
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
        pixels = pixel_metrics(outcome.maps[headline], masks[headline], ignored)
    rejects = outcome.rejects(defective)
    calibrated = outcome.threshold is not None
    return Report(
        outcome.runtime,
        outcome.precision,
        image_auroc(defective[headline], outcome.scores[headline]),
        pixels.auroc if pixels else None,
        pixels.ap if pixels else None,
        pixels.aupro if pixels else None,
        by_kind,
        _agreement(outcome, reference, defective),
        float(rejects[~defective].mean()) if calibrated else None,
        float(rejects[defective & headline].mean()) if calibrated else None,
        float(np.percentile(outcome.latency_ms, 50)),
        float(np.percentile(outcome.latency_ms, 99)),
    )


def _agreement(outcome: Outcome, reference: Outcome, defective: NDArray[np.bool_]) -> float:
    limits = [limit for limit in (outcome.threshold, reference.threshold) if limit is not None]
    if len(limits) == 1:
        outcome, reference = (replace(each, threshold=limits[0]) for each in (outcome, reference))
    return float(np.mean(outcome.rejects(defective) == reference.rejects(defective)))


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


def table(reports: list[Report], apart: set[str]) -> str:
    """The reports as text, a line each, then image AUROC by kind of defect."""
    lines = [
        f"{'runtime':12} {'precision':9} {'img AUROC':>9} {'px AUROC':>9} {'px AP':>7} "
        f"{'AUPRO':>7} {'agree':>7} {'false rej':>9} {'detected':>8} {'p50 ms':>7} {'p99 ms':>7}"
    ]
    for row in reports:
        px_auroc, px_ap, aupro = (
            "-" if value is None else f"{value:.4f}"
            for value in (row.pixel_auroc, row.pixel_ap, row.aupro)
        )
        false_rejects, detected = (
            "-" if value is None else f"{value:.2%}" for value in (row.false_rejects, row.detected)
        )
        lines.append(
            f"{row.runtime:12} {row.precision:9} {row.image_auroc:9.4f} {px_auroc:>9} {px_ap:>7} "
            f"{aupro:>7} {row.agreement:7.2%} {false_rejects:>9} {detected:>8} "
            f"{row.p50_ms:7.1f} {row.p99_ms:7.1f}"
        )
    lines.append("")
    lines.append("image AUROC by kind, each against the good parts")
    for kind in reports[0].auroc_by_kind:
        values = "  ".join(f"{row.auroc_by_kind[kind]:.4f}" for row in reports)
        lines.append(f"  {kind + (' (apart)' if kind in apart else ''):20} {values}")
    return "\n".join(lines)
