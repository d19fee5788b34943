"""From an inspection to a decision: threshold, p-value, and the regions that look wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.engine.base import Inspection
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
        return replace(self, outcome=Outcome.NO_DECISION, reason=Reason.DEADLINE, review=False)


def decide(
    inspection: Inspection,
    record: CalibrationRecord,
    frame_size: tuple[int, int],
    to_frame: NDArray[np.float64],
) -> Decision:
    """Reject if and only if the score is above the threshold; only a finite score can pass.

    Args:
        inspection: from the engine.
        record: the calibration whose threshold holds.
        frame_size: (height, width) of the camera's frame.
        to_frame: [2, 3], where the map lies in that (`agent.view.Seen.to_image`).
    """
    if not math.isfinite(inspection.score):
        return Decision.none(Reason.ENGINE_FAULT)
    p_value = record.p_value(inspection.score)
    if inspection.score <= record.threshold:
        return Decision(Outcome.PASS, None, inspection.score, p_value, threshold=record.threshold)
    regions = find_regions(
        inspection.anomaly_map, record.threshold, frame_size, to_frame, record.pixel_limit
    )
    review = record.review is not None and inspection.score <= record.review.reject_above
    return Decision(
        Outcome.REJECT, None, inspection.score, p_value, regions, review, record.threshold
    )


def find_regions(
    anomaly_map: NDArray[np.float32],
    limit: float,
    frame_size: tuple[int, int],
    to_frame: NDArray[np.float64],
    reach: float | None = None,
) -> tuple[Region, ...]:
    """Connected areas that peak above `limit`, the largest peak first, at most MAX_REGIONS.

    The score is a mean of some of the map's logits, so with the score's threshold as limit a
    rejected part has at least one region. Two limits, as in Canny's edges, show the whole of a
    defect and yet nothing of what is usual.

    Args:
        anomaly_map: float32 [H, W], logits.
        limit: in the same units; a region has a pixel above this.
        frame_size: (height, width) of the camera's frame, which no box leaves.
        to_frame: [2, 3], where the map lies in that: from its pixels to the frame's.
        reach: all pixels of a region are above this; as `limit` when None.
    """
    above = anomaly_map > (limit if reach is None else reach)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        above.astype(np.uint8), connectivity=8
    )
    peaks = np.full(count, -np.inf, np.float32)
    np.maximum.at(peaks, labels[above].astype(np.intp), anomaly_map[above])
    found = int(np.count_nonzero(peaks > limit))
    largest = np.argsort(-peaks, kind="stable")[: min(found, MAX_REGIONS)]
    pixel = abs(float(np.linalg.det(to_frame[:, :2])))
    regions = []
    for label in largest:
        x, y, width, height, area = (int(value) for value in stats[label])
        regions.append(
            Region(
                box=_box(x, y, width, height, frame_size, to_frame),
                area=max(1, round(area * pixel)),
                peak=float(peaks[label]),
            )
        )
    return tuple(regions)


def _box(
    x: int,
    y: int,
    width: int,
    height: int,
    frame_size: tuple[int, int],
    to_frame: NDArray[np.float64],
) -> Box:
    """The upright rectangle, in pixels of the frame, around one of the map's."""
    corners = [(x, y, 1), (x + width, y, 1), (x, y + height, 1), (x + width, y + height, 1)]
    # Rounded: what lies on a pixel's edge but for the last digits lies on it.
    found = np.round(np.array(corners) @ to_frame.T, 6)
    most = np.array(frame_size[::-1])
    left, top = np.clip(np.floor(found.min(0)).astype(int), 0, most - 1).tolist()
    right, bottom = np.clip(np.ceil(found.max(0)).astype(int), 1, most).tolist()
    return Box(x=left, y=top, width=max(1, right - left), height=max(1, bottom - top))
