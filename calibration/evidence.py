"""What is known of normal parts, from pictures scored now or from records made before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone

import numpy as np

from agent.bundle import Bundle
from agent.camera import Settings, settings_digest
from agent.engine import Engine, golden_scores
from agent.errors import InputError
from agent.picture import decode_thumbnail, encode_thumbnail
from agent.record import SCHEMA, CalibrationRecord, Picture, Refused, Review, Spread
from calibration.normals import Normals
from calibration.threshold import conformal_threshold, rank

# Share of normal parts that may have more than a thousandth of their pixels above the pixel limit.
PIXEL_RATE = 0.05


@dataclass(frozen=True)
class Promise:
    """What is asked of a threshold.

    rate: the share of normal parts that may be rejected, in (0, 1).
    confidence: that this calibration keeps it; None for on average over calibrations.
    review_rate: the further share that may be held for a person's look; None for one limit.
    best_effort: with too few samples, the lowest rate that they support.
    """

    rate: float
    confidence: float | None = None
    review_rate: float | None = None
    best_effort: bool = False

    @property
    def stopped_rate(self) -> float:
        """The share of normal parts that may fail to pass."""
        # Rounded: 0.01 + 0.02 would be a little more than 0.03 and cost a sample.
        return round(self.rate + (self.review_rate or 0.0), 12)

    def check(self, n: int) -> None:
        """Find out before any work whether n samples support it; raises InputError."""
        if self.stopped_rate >= 1:
            raise InputError("false-reject rate and review rate together must stay below 1")
        rank(n, self.rate, self.confidence, best_effort=self.best_effort)


@dataclass(frozen=True)
class Evidence:
    """Normal parts in numbers, and where they come from.

    picture and the levels are missing from records of schema 1.
    """

    scores: list[float]
    pixel_levels: list[float]
    picture: Picture | None
    frame_size: tuple[int, int] | None
    refused: list[Refused]
    excluded: list[str]
    cross: bool = False

    @classmethod
    def of_normals(cls, normals: Normals, *, cross: bool = False) -> Evidence:
        """What the pictures of `normals` say; cross: scored by the models of folds."""
        return cls(
            normals.scores,
            sorted(part.level for part in normals.parts),
            _picture(normals),
            normals.frame_size,
            [Refused(name=name, reason=why) for name, why in normals.refused.items()],
            normals.excluded,
            cross,
        )

    @classmethod
    def of_record(cls, record: CalibrationRecord) -> Evidence:
        """What a record was made of."""
        return cls(
            record.scores,
            record.pixel_levels,
            record.picture,
            record.frame_size,
            record.refused,
            record.excluded,
            record.method == "cross",
        )

    def and_also(self, more: Evidence) -> Evidence:
        """Both together.

        Raises:
            InputError: they are of cameras of different size.
        """
        if self.frame_size and more.frame_size and self.frame_size != more.frame_size:
            raise InputError(
                f"the new images are {more.frame_size[1]}x{more.frame_size[0]}, the calibration "
                f"was made of {self.frame_size[1]}x{self.frame_size[0]}"
            )
        return Evidence(
            sorted(self.scores + more.scores),
            sorted(self.pixel_levels + more.pixel_levels),
            _join(self.picture, more.picture),
            self.frame_size or more.frame_size,
            self.refused + more.refused,
            self.excluded + more.excluded,
            self.cross or more.cross,
        )

    def record(
        self,
        promise: Promise,
        bundle: Bundle,
        engine: Engine,
        *,
        camera: Settings | None = None,
        note: str = "",
    ) -> CalibrationRecord:
        """Set the threshold for a bundle on an engine.

        Raises:
            InputError: too few parts for the promise.
        """
        rejecting = conformal_threshold(
            self.scores, promise.rate, promise.confidence, best_effort=promise.best_effort
        )
        limit, review = rejecting.value, None
        if promise.review_rate is not None:
            stopping = conformal_threshold(
                self.scores, promise.stopped_rate, promise.confidence, best_effort=True
            )
            limit = stopping.value
            review = Review(
                requested_rate=promise.review_rate,
                reject_above=rejecting.value,
                stopped_rate=max(stopping.supported_rate, rejecting.supported_rate),
            )
        return CalibrationRecord(
            schema_version=SCHEMA,
            bundle_sha256=bundle.sha256,
            engine=engine.fingerprint,
            threshold=limit,
            requested_false_reject_rate=promise.rate,
            supported_false_reject_rate=rejecting.supported_rate,
            confidence=promise.confidence,
            n=len(self.scores),
            scores=self.scores,
            camera_settings_digest=None if camera is None else settings_digest(camera),
            created_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            method="cross" if self.cross else "split",
            review=review,
            pixel_levels=self.pixel_levels,
            pixel_limit=self._pixel_limit(limit),
            picture=self.picture,
            frame_size=self.frame_size,
            camera_settings=camera,
            refused=self.refused,
            excluded=self.excluded,
            note=note,
            golden_scores=golden_scores(engine, bundle),
        )

    def _pixel_limit(self, threshold: float) -> float | None:
        if not self.pixel_levels:
            return None
        found = conformal_threshold(self.pixel_levels, PIXEL_RATE, best_effort=True)
        return min(found.value, threshold)


def _picture(normals: Normals) -> Picture:
    looks = [part.look for part in normals.parts]
    # One picture alone has none before it to differ from.
    differences = [b.difference(a) for a, b in zip(looks, looks[1:], strict=False)] or [0.0]
    return Picture(
        brightness=_spread([look.brightness for look in looks]),
        sharpness=_spread([look.sharpness for look in looks]),
        saturated=_spread([look.saturated for look in looks]),
        difference=_spread(differences),
        reference=encode_thumbnail(np.mean([look.thumbnail for look in looks], axis=0)),
    )


def _spread(values: list[float]) -> Spread:
    # Five digits are beyond what a camera repeats, and keep the record readable.
    return Spread(values=sorted(float(f"{value:.5g}") for value in values))


def _join(one: Picture | None, other: Picture | None) -> Picture | None:
    if one is None or other is None:
        return one or other
    n, m = len(one.brightness.values), len(other.brightness.values)
    # One picture alone differs from none: its 0 would say that normal pictures repeat each other.
    pairs = [picture.difference.values for picture, count in ((one, n), (other, m)) if count > 1]
    a, b = decode_thumbnail(one.reference), decode_thumbnail(other.reference)
    return Picture(
        **{
            name: Spread(values=sorted(getattr(one, name).values + getattr(other, name).values))
            for name in ("brightness", "sharpness", "saturated")
        },
        difference=Spread(values=sorted(value for each in pairs for value in each) or [0.0]),
        reference=encode_thumbnail(np.average([a, b], axis=0, weights=[n, m])),
    )
