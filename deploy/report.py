"""The figures of a bundle's engines on a labelled data set, as a table and as JSON."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agent.bundle import Bundle
from deploy.evaluate import Outcome
from training.dataset import GOOD, LabelledImage
from training.metrics import image_auroc, pixel_metrics

# Beside True and False, of what a station does not let through and does not judge.
STOPPED = 2


@dataclass(frozen=True)
class Judged:
    """What the rows of a table are of.

    good, defective: images that count for the headline; apart: images of the other kinds;
    left_out: images without a part; reference: the engine that verdicts are compared with.
    """

    bundle: str
    bundle_sha256: str
    data: str
    good: int
    defective: int
    apart: dict[str, int]
    left_out: int
    reference: str

    @classmethod
    def of(
        cls,
        bundle: Bundle,
        data: Path,
        given: list[LabelledImage],
        shown: list[LabelledImage],
        apart: set[str],
        reference: Outcome,
    ) -> Judged:
        """`shown`: those of the images `given` that show a part."""
        counts = Counter(item.kind for item in shown)
        beside = {kind: counts.pop(kind, 0) for kind in sorted(apart)}
        good = counts.pop(GOOD)
        return cls(
            bundle=str(bundle.path),
            bundle_sha256=bundle.sha256,
            data=str(data),
            good=good,
            defective=counts.total(),
            apart=beside,
            left_out=len(given) - len(shown),
            reference=reference.engine,
        )


@dataclass(frozen=True)
class Report:
    """One row of the table.

    threshold: of its calibration, logits; None without one.
    auroc_by_kind: image AUROC of each kind of defect against the good parts.
    agreement: share of all images, those of kinds apart too, with the verdict that the reference
        gives, each at its own threshold, as each is calibrated by itself; where one is not
        calibrated, both at that of the other.
    stopped_good, stopped_defective: how many of the good parts, and of the defective ones that
        count for the headline, the station does not judge, by what is wrong with the picture.
    false_rejects, detected: share of the others of either that is rejected at the calibrated
        threshold; None without one, or without others.
    """

    runtime: str
    device: str
    precision: str
    threshold: float | None
    image_auroc: float
    pixel_auroc: float | None
    pixel_ap: float | None
    aupro: float | None
    auroc_by_kind: dict[str, float]
    agreement: float
    stopped_good: dict[str, int]
    stopped_defective: dict[str, int]
    false_rejects: float | None
    detected: float | None
    p50_ms: float
    p99_ms: float


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
    return Report(
        runtime=outcome.runtime,
        device=outcome.device,
        precision=outcome.precision,
        threshold=outcome.threshold,
        image_auroc=image_auroc(defective[headline], outcome.scores[headline]),
        pixel_auroc=pixels.auroc if pixels else None,
        pixel_ap=pixels.ap if pixels else None,
        aupro=pixels.aupro if pixels else None,
        auroc_by_kind=by_kind,
        agreement=_agreement(outcome, reference, defective),
        stopped_good=_stopped(outcome, ~defective),
        stopped_defective=_stopped(outcome, defective & headline),
        false_rejects=_rejected(outcome, ~defective),
        detected=_rejected(outcome, defective & headline),
        p50_ms=float(np.percentile(outcome.latency_ms, 50)),
        p99_ms=float(np.percentile(outcome.latency_ms, 99)),
    )


def _agreement(outcome: Outcome, reference: Outcome, defective: NDArray[np.bool_]) -> float:
    both = [outcome, reference]
    calibrated = [each for each in both if each.threshold is not None]
    if len(calibrated) == 1:
        (one,) = calibrated
        both = [replace(each, threshold=one.threshold, faults=one.faults) for each in both]
    verdicts = [np.where(each.judged, each.rejects(defective), STOPPED) for each in both]
    return float(np.mean(verdicts[0] == verdicts[1]))


def _stopped(outcome: Outcome, of: NDArray[np.bool_]) -> dict[str, int]:
    return dict(Counter(outcome.faults[of & ~outcome.judged].tolist()))


def _rejected(outcome: Outcome, of: NDArray[np.bool_]) -> float | None:
    judged = of & outcome.judged
    if outcome.threshold is None or not judged.any():
        return None
    return float((outcome.scores[judged] > outcome.threshold).mean())


def to_json(judged: Judged, reports: list[Report]) -> str:
    """What `table` shows, for programs."""
    return json.dumps({**asdict(judged), "rows": [asdict(row) for row in reports]}, indent=1) + "\n"


def table(judged: Judged, reports: list[Report]) -> str:
    """What was judged, a line for each report, pictures not judged, and image AUROC by kind."""
    lines = [
        _head(judged),
        f"agree: with the verdicts of {judged.reference}, on all images",
        "",
        f"{'runtime':12} {'device':8} {'precision':9} {'img AUROC':>9} {'px AUROC':>9} "
        f"{'px AP':>7} {'AUPRO':>7} {'agree':>7} {'threshold':>9} {'false rej':>9} {'detected':>8} "
        f"{'p50 ms':>7} {'p99 ms':>7}",
    ]
    for row in reports:
        px_auroc, px_ap, aupro, threshold = (
            "-" if value is None else f"{value:.4f}"
            for value in (row.pixel_auroc, row.pixel_ap, row.aupro, row.threshold)
        )
        false_rejects, detected = (
            "-" if value is None else f"{value:.2%}" for value in (row.false_rejects, row.detected)
        )
        lines.append(
            f"{row.runtime:12} {row.device:8} {row.precision:9} {row.image_auroc:9.4f} "
            f"{px_auroc:>9} {px_ap:>7} {aupro:>7} {row.agreement:7.2%} {threshold:>9} "
            f"{false_rejects:>9} {detected:>8} {row.p50_ms:7.1f} {row.p99_ms:7.1f}"
        )
    if stopped := [row for row in reports if row.stopped_good or row.stopped_defective]:
        lines += ["", "CAMERA_FAULT at the station, so neither false rejects nor detected:"]
        lines += [
            f"  {row.runtime} {row.precision} on {row.device}: "
            f"{_counted(row.stopped_good, judged.good, 'good')}, "
            f"{_counted(row.stopped_defective, judged.defective, 'defective')}"
            for row in stopped
        ]
    lines += ["", "image AUROC by kind, each against the good parts"]
    for kind in reports[0].auroc_by_kind:
        values = "  ".join(f"{row.auroc_by_kind[kind]:.4f}" for row in reports)
        lines.append(f"  {kind + (' (apart)' if kind in judged.apart else ''):20} {values}")
    return "\n".join(lines)


def _head(judged: Judged) -> str:
    beside = "".join(f", {count} {kind} apart" for kind, count in judged.apart.items())
    if judged.left_out:
        beside += f", {judged.left_out} left out without a part"
    return (
        f"{judged.bundle} ({judged.bundle_sha256[:12]}) on {judged.data}: {judged.good} good and "
        f"{judged.defective} defective images{beside}"
    )


def _counted(stopped: dict[str, int], of: int, name: str) -> str:
    causes = f" ({', '.join(f'{cause} {count}' for cause, count in stopped.items())})"
    return f"{sum(stopped.values())} of {of} {name}{causes if stopped else ''}"
