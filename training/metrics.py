"""How well anomaly scores and maps separate defects from good parts.

The standard ones are scikit-learn's; AUPRO is ours, exact over every distinct threshold. Without
torch, so that any runtime's maps can be judged.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from training.errors import InputError

AUPRO_LIMIT = 0.3


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
    _need_both(defective, "images")
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
    defective, values = _marked(maps, masks)
    counted = np.s_[:] if ignored is None else ~ignored.ravel()
    truth, flat = (_pixels(array, counted) for array in (defective, values))
    _need_both(truth, "pixels")
    return PixelMetrics(
        auroc=float(roc_auc_score(truth, flat)),
        ap=float(average_precision_score(truth, flat)),
        aupro=_aupro(flat, truth, *_region_weights(defective, counted)),
    )


def pixel_ap(maps: ArrayLike, masks: ArrayLike) -> float:
    """Pixel AP of all pixels alone, at a third of the cost of `pixel_metrics`."""
    defective, values = _marked(maps, masks)
    _need_both(defective, "pixels")
    return float(average_precision_score(defective.ravel(), values.ravel()))


def _marked(maps: ArrayLike, masks: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.floating]]:
    defective = np.asarray(masks).astype(bool)
    if defective.ndim != 3:
        raise InputError(f"masks must be [N, H, W], not of shape {defective.shape}")
    return defective, _checked(np.asarray(maps), defective, "anomaly maps", "masks")


def _pixels(arrays: NDArray, counted: slice | NDArray[np.bool_]) -> NDArray:
    """The counted pixels of all images [N, H, W], one after the other."""
    flat: NDArray = arrays.reshape(len(arrays), -1)[:, counted].ravel()
    return flat


def _aupro(
    values: NDArray[np.floating],
    truth: NDArray[np.bool_],
    weights: NDArray[np.float32],
    regions: int,
) -> float:
    ranking = _Ranking.of(values)
    alarms = ranking.cumulative(~truth, np.int64)
    overlap = ranking.cumulative(weights, np.float64) / regions
    return _area_up_to(alarms / alarms[-1], overlap, AUPRO_LIMIT)


@dataclass(frozen=True)
class _Ranking:
    """Items from the highest to the lowest score, in groups of equal score.

    order: int [N], the items. last: int [D], where in `order` each group of equal score ends:
    one group for every distinct threshold.
    """

    order: NDArray[np.intp]
    last: NDArray[np.intp]

    @classmethod
    def of(cls, scores: NDArray[np.floating]) -> _Ranking:
        order = np.argsort(scores)[::-1]
        ranked = scores[order]
        ends = np.flatnonzero(ranked[1:] != ranked[:-1])
        return cls(order, np.append(ends, len(ranked) - 1))

    def cumulative(self, weights: NDArray, dtype: type[np.number]) -> NDArray:
        """[D]: the weight of all items at or above each distinct threshold."""
        return np.cumsum(weights[self.order], dtype=dtype)[self.last]


def _checked(
    values: NDArray, defective: NDArray[np.bool_], name: str, truth: str
) -> NDArray[np.floating]:
    if values.shape != defective.shape:
        raise InputError(f"{name} have shape {values.shape}, their {truth} {defective.shape}")
    if not np.isfinite(values).all():
        raise InputError(f"{name} are not finite: the model that made them has diverged")
    return values


def _need_both(defective: NDArray[np.bool_], items: str) -> None:
    if defective.all() or not defective.any():
        found = "defective" if defective.any() else "good"
        raise InputError(f"the metrics need good and defective {items}, and all are {found}")


def _region_weights(
    defective: NDArray[np.bool_], counted: slice | NDArray[np.bool_]
) -> tuple[NDArray[np.float32], int]:
    """1 / (area of its region) for every counted pixel, 0 where good, and the number of regions.

    Summed over the pixels above a threshold, the weights are the sum of the regions' overlaps.
    """
    considered = np.zeros(defective.shape[1:], np.bool_)
    considered.reshape(-1)[counted] = True
    defective = defective & considered
    weights = np.zeros(defective.shape, np.float32)
    regions = 0
    for weight, mask in zip(weights, defective, strict=True):
        if not mask.any():
            continue
        count, labels, stats, _ = cv2.connectedComponentsWithStats(
            mask.astype(np.uint8), connectivity=8
        )
        weight[mask] = 1.0 / stats[labels[mask], cv2.CC_STAT_AREA]
        regions += count - 1  # label 0 is the background
    return _pixels(weights, counted), regions


def _area_up_to(x: NDArray[np.float64], y: NDArray[np.float64], limit: float) -> float:
    """Area under the curve from (0, 0) through (x, y) up to x = `limit`, divided by `limit`.

    x: [D], rising to 1. The curve is linear between its points, and cut at the limit.
    """
    x, y = np.concatenate(([0.0], x)), np.concatenate(([0.0], y))
    inside = int(np.searchsorted(x, limit, side="right"))
    heights = np.append(y[:inside], np.interp(limit, x, y))
    widths = np.diff(np.append(x[:inside], limit))
    return float((widths * (heights[1:] + heights[:-1])).sum() / (2.0 * limit))
