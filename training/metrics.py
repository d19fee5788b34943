"""How well anomaly scores and maps separate defects from good parts.

The standard ones are scikit-learn's; AUPRO is ours. Of pixels it is counted, a few images at a
time, how many there are of each level, so that memory does not grow with them. Without torch, so
that any runtime's maps can be judged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from training.errors import InputError

AUPRO_LIMIT = 0.3
# So many thresholds are told apart, evenly over the inverse hyperbolic sine of the values: among
# logits from -10 to 10 they lie 6e-5 apart at most, and one map that strays leaves them so.
LEVELS = 1 << 20
# Pixels that are counted together.
CHUNK = 1 << 22


@dataclass(frozen=True)
class PixelMetrics:
    """Localisation over all pixels of all test images, each from 0 to 1.

    auroc: area under the receiver operating characteristic.
    ap: average precision, the sum over thresholds of precision times the recall gained.
    aupro: area under the curve of per-region overlap against false-positive rate, up to a rate
        of 0.3 and divided by it (Bergmann et al., "The MVTec Anomaly Detection Dataset").
    """

    auroc: float
    ap: float
    aupro: float


def image_auroc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Area under the receiver operating characteristic of image scores.

    labels: [N], non-zero where the image is defective. scores: [N], larger is more anomalous.
    Raises InputError where shapes differ, a score is not finite or only one class is there.
    """
    defective = np.asarray(labels).astype(bool)
    values = _checked(np.asarray(scores), defective, "image scores", "labels")
    _need_both(int((~defective).sum()), int(defective.sum()), "images")
    return float(roc_auc_score(defective, values))


def pixel_metrics(
    maps: ArrayLike, masks: ArrayLike, ignored: NDArray[np.bool_] | None = None
) -> PixelMetrics:
    """Pixel AUROC, pixel AP and AUPRO.

    maps: float [N, H, W], larger is more anomalous. masks: [N, H, W], non-zero where defective.
    ignored: [H, W], pixels that count neither as right nor as wrong in any image. Regions are
    8-connected. Raises InputError where shapes differ, a map is not finite, or the
    masks mark no pixel or every pixel.
    """
    pixels = _Pixels.of(maps, masks, ignored)
    good, bad = pixels.counts()
    return PixelMetrics(
        auroc=_weighted(roc_auc_score, good, bad),
        ap=_weighted(average_precision_score, good, bad),
        aupro=_aupro(good, pixels.overlap()),
    )


def pixel_ap(maps: ArrayLike, masks: ArrayLike) -> float:
    """Pixel AP of all pixels alone, at a third of the cost of `pixel_metrics`."""
    return _weighted(average_precision_score, *_Pixels.of(maps, masks, None).counts())


@dataclass(frozen=True)
class _Pixels:
    """values: float [N, H, W]; defective, bool likewise; counted: bool [H, W], of every image."""

    values: NDArray[np.floating]
    defective: NDArray[np.bool_]
    counted: NDArray[np.bool_]

    @classmethod
    def of(cls, maps: ArrayLike, masks: ArrayLike, ignored: NDArray[np.bool_] | None) -> _Pixels:
        defective = np.asarray(masks).astype(bool, copy=False)
        if defective.ndim != 3:
            raise InputError(f"masks must be [N, H, W], not of shape {defective.shape}")
        values = _checked(np.asarray(maps), defective, "anomaly maps", "masks")
        counted = np.ones(defective.shape[1:], np.bool_) if ignored is None else ~ignored
        return cls(values, defective, counted)

    def counts(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """How many good and defective pixels there are of each level, [LEVELS] both.

        Raises InputError where all are of one kind.
        """
        good, bad = np.zeros((2, LEVELS), np.int64)
        for values, defective in self._chunks():
            levels, truth = self._levels(values[:, self.counted]), defective[:, self.counted]
            good += np.bincount(levels[~truth], minlength=LEVELS)
            bad += np.bincount(levels[truth], minlength=LEVELS)
        _need_both(int(good.sum()), int(bad.sum()), "pixels")
        return good, bad

    def overlap(self) -> NDArray[np.float64]:
        """What the pixels of each level are, on average, of a region's: [LEVELS], of sum 1."""
        overlap, regions = np.zeros(LEVELS), 0
        for value, mask in zip(self.values, self.defective & self.counted, strict=True):
            if mask.any():
                count, labels, stats, _ = cv2.connectedComponentsWithStats(
                    mask.astype(np.uint8), connectivity=8
                )
                shares = 1.0 / stats[labels[mask], cv2.CC_STAT_AREA]
                np.add.at(overlap, self._levels(value[mask]), shares)
                regions += count - 1  # label 0 is the background
        return overlap / regions

    def _levels(self, values: NDArray[np.floating]) -> NDArray[np.intp]:
        """Numbers from 0 to LEVELS - 1 in the order of the values."""
        low, step = self._scale
        return np.rint((np.arcsinh(values, dtype=np.float64) - low) / step).astype(np.intp)

    @cached_property
    def _scale(self) -> tuple[float, float]:
        """What level 0 stands for, and from one to the next."""
        low, high = np.arcsinh([self.values.min(), self.values.max()], dtype=np.float64)
        return float(low), float(high - low) / (LEVELS - 1) or 1.0

    def _chunks(self) -> Iterator[tuple[NDArray[np.floating], NDArray[np.bool_]]]:
        images = max(1, CHUNK // self.counted.size)
        for begin in range(0, len(self.values), images):
            chunk = np.s_[begin : begin + images]
            yield self.values[chunk], self.defective[chunk]


def _weighted(
    metric: Callable[..., float], good: NDArray[np.int64], bad: NDArray[np.int64]
) -> float:
    """A metric of scikit-learn, of so many good and defective pixels of each level."""
    levels = [np.flatnonzero(counts) for counts in (good, bad)]
    truth = np.repeat([False, True], [len(each) for each in levels])
    weights = np.concatenate([good[levels[0]], bad[levels[1]]])
    return float(metric(truth, np.concatenate(levels), sample_weight=weights))


def _aupro(good: NDArray[np.int64], overlap: NDArray[np.float64]) -> float:
    """Of how many good pixels, and what share of the regions', there is at each level."""
    there = np.flatnonzero((good > 0) | (overlap > 0))[::-1]
    alarms, found = np.cumsum(good[there]), np.cumsum(overlap[there])
    return _area_up_to(alarms / alarms[-1], found, AUPRO_LIMIT)


def _checked(
    values: NDArray, defective: NDArray[np.bool_], name: str, truth: str
) -> NDArray[np.floating]:
    if values.shape != defective.shape:
        raise InputError(f"{name} have shape {values.shape}, their {truth} {defective.shape}")
    if not np.isfinite(values).all():
        raise InputError(f"{name} are not finite: the model that made them has diverged")
    return values


def _need_both(good: int, bad: int, items: str) -> None:
    if not (good and bad):
        found = "defective" if bad else "good"
        raise InputError(f"the metrics need good and defective {items}, and all are {found}")


def _area_up_to(x: NDArray[np.float64], y: NDArray[np.float64], limit: float) -> float:
    """Area under the curve from (0, 0) through (x, y) up to x = `limit`, divided by `limit`.

    x: [D], rising to 1. The curve is linear between its points, and cut at the limit.
    """
    x, y = np.concatenate(([0.0], x)), np.concatenate(([0.0], y))
    inside = int(np.searchsorted(x, limit, side="right"))
    heights = np.append(y[:inside], np.interp(limit, x, y))
    widths = np.diff(np.append(x[:inside], limit))
    return float((widths * (heights[1:] + heights[:-1])).sum() / (2.0 * limit))
