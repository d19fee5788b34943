"""What a report says."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from agent.bundle import Bundle
from agent.engine import Engine
from agent.record import CalibrationRecord
from agent.view import View
from calibration import words
from calibration.defects import CONTRAST, Detection, detect
from calibration.evidence import Promise
from calibration.normals import Normals, Shown
from calibration.suspects import LeftOut, leave_one_out, limit_without_largest


@dataclass(frozen=True)
class Report:
    """A record with what a person needs to judge it.

    set_by: which parts the limit is owed to; caution: that it finds few of the drawn defects;
    shown: the normal parts with the largest scores, the largest first: name, score, picture.
    """

    record: CalibrationRecord
    product: str
    promise: list[str]
    caution: str | None
    reach: list[str]
    estimate: str | None
    set_by: str | None
    largest: list[LeftOut]
    detection: list[Detection]
    shown: list[tuple[str, float, Shown]]

    def to_json(self) -> dict[str, Any]:
        """All but the pictures."""
        return {
            "schema": "normline/calibration-report/1",
            "product": self.product,
            "record": self.record.model_dump(by_alias=True, mode="json"),
            "promise": self.promise,
            "caution": self.caution,
            "reach": self.reach,
            "estimate_without_guarantee": self.estimate,
            "limit_set_by": self.set_by,
            "leave_one_out": [{**asdict(e), "suspect": e.suspect} for e in self.largest],
            "detection": {
                "contrast_grey_levels": CONTRAST,
                "defects": [asdict(row) for row in self.detection],
            },
            "largest": [{"name": name, "score": score} for name, score, _ in self.shown],
        }


def make_report(
    record: CalibrationRecord, promise: Promise, normals: Normals, engine: Engine, bundle: Bundle
) -> Report:
    """Gather what the report says; draws synthetic defects on normal parts and scores them.

    Args:
        record: made from `normals`.
        promise: what was asked of it.
        normals: with the canvases that were kept.
        engine: the one that the record is for.
        bundle: the model.
    """
    scores = {part.name: part.score for part in normals.parts}
    ranking = sorted(normals.shown, key=lambda name: -scores[name])
    otherwise = limit_without_largest(record.scores, promise)
    canvases = list(normals.canvases.values())
    detection = detect(engine, View.of(bundle), canvases, record.threshold, otherwise)
    return Report(
        record,
        bundle.manifest.product,
        words.promise(record),
        words.caution(detection),
        words.reach(record),
        words.estimate(record),
        words.set_by(normals.parts, record),
        leave_one_out(normals.parts, promise, record.scores),
        detection,
        [(name, scores[name], normals.shown[name]) for name in ranking],
    )
