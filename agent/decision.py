"""From an inspection to a decision: threshold, p-value, and the regions that look wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.engine.base import Inspection
from agent.imaging import Roi
from agent.record import CalibrationRecord
from agent.verdict import Box, Outcome, Reason, Region

MAX_REGIONS = 16


@dataclass(frozen=True)
class Decision:
    """What is said of a part. A reason is given with NO_DECISION, and only then.

    review: a REJECT between the record's two limits; threshold: that decided, None where nothing
    did; detail: what is behind the reason, in words.
    """

    outcome: Outcome
    reason: Reason | None = None
    score: float | None = None
    p_value: float | None = None
    regions: tuple[Region, ...] = ()
    review: bool = False
    threshold: float | None = None
    detail: str = ""

    @classmethod
    def none(cls, reason: Reason, detail: str = "") -> Decision:
        """No decision, for want of anything to decide on."""
        return cls(Outcome.NO_DECISION, reason, detail=detail)

    def too_late(self) -> Decision:
        """The same findings, come after the deadline: nothing to act on any more."""
        return Decision(
            Outcome.NO_DECISION,
            Reason.DEADLINE,
            self.score,
            self.p_value,
            self.regions,
            threshold=self.threshold,
        )


def decide(
    inspection: Inspection,
    record: CalibrationRecord,
    frame_size: tuple[int, int],
    roi: Roi | None = None,
) -> Decision:
    """Reject if and only if the score is above the threshold; only a finite score can pass.

    Args:
        inspection: from the engine.
        record: the calibration whose threshold holds.
        frame_size: (height, width) of the camera's frame.
        roi: the part of the frame that was inspected; the whole frame when None.
    """
    if not math.isfinite(inspection.score):
        return Decision.none(Reason.ENGINE_FAULT)
    p_value = record.p_value(inspection.score)
    if inspection.score <= record.threshold:
        return Decision(Outcome.PASS, None, inspection.score, p_value, threshold=record.threshold)
    height, width = frame_size
    regions = find_regions(
        inspection.anomaly_map,
        record.threshold,
        roi or Roi(x=0, y=0, width=width, height=height),
        record.pixel_limit,
    )
    review = record.review is not None and inspection.score <= record.review.reject_above
    return Decision(
        Outcome.REJECT, None, inspection.score, p_value, regions, review, record.threshold
    )


def find_regions(
    anomaly_map: NDArray[np.float32], limit: float, roi: Roi, reach: float | None = None
) -> tuple[Region, ...]:
    """Connected areas that peak above `limit`, the largest peak first, at most MAX_REGIONS.

    The score is a mean of some of the map's logits, so with the score's threshold as limit a
    rejected part has at least one region. Two limits, as in Canny's edges, show the whole of a
    defect and yet nothing of what is usual.

    Args:
        anomaly_map: float32 [H, W], logits.
        limit: in the same units; a region has a pixel above this.
        roi: where the map lies in the camera's frame.
        reach: all pixels of a region are above this; as `limit` when None.
    """
    above = anomaly_map > (limit if reach is None else reach)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        above.astype(np.uint8), connectivity=8
    )
    peaks = np.full(count, -np.inf, np.float32)
    np.maximum.at(peaks, labels[above].astype(np.intp), anomaly_map[above])
    peaks[0] = -np.inf  # label 0 is the background
    found = int(np.count_nonzero(peaks > limit))
    largest = np.argsort(-peaks, kind="stable")[: min(found, MAX_REGIONS)]
    scale_x = roi.width / anomaly_map.shape[1]
    scale_y = roi.height / anomaly_map.shape[0]
    regions = []
    for label in largest:
        x, y, width, height, area = (int(value) for value in stats[label])
        left, top = math.floor(x * scale_x), math.floor(y * scale_y)
        right, bottom = math.ceil((x + width) * scale_x), math.ceil((y + height) * scale_y)
        regions.append(
            Region(
                box=Box(x=roi.x + left, y=roi.y + top, width=right - left, height=bottom - top),
                area=max(1, round(area * scale_x * scale_y)),
                peak=float(peaks[label]),
            )
        )
    return tuple(regions)
