"""The metrics reproduce scikit-learn and the exact AUPRO, and refuse what they cannot judge."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from training.errors import InputError
from training.metrics import image_auroc, pixel_ap, pixel_metrics


@pytest.fixture(scope="module")
def numbers(shared: Path) -> dict[str, NDArray]:
    with np.load(shared / "reference" / "metric_fixtures.npz") as arrays:
        return {name: arrays[name] for name in arrays.files}


def test_reference_maps(numbers: dict[str, NDArray]) -> None:
    metrics = pixel_metrics(numbers["maps"], numbers["masks"])
    assert metrics.auroc == pytest.approx(numbers["pixel_auroc"], abs=1e-4)
    assert metrics.ap == pytest.approx(numbers["pixel_ap"], abs=1e-4)
    assert metrics.aupro == pytest.approx(numbers["aupro_exact"], abs=1e-4)


def test_reference_scores(numbers: dict[str, NDArray]) -> None:
    top50 = np.sort(numbers["maps"].reshape(24, -1))[:, -50:].mean(1)
    for scores in (top50, numbers["top50_scores"]):
        auroc = image_auroc(numbers["labels"], scores)
        assert auroc == pytest.approx(numbers["image_auroc"], abs=1e-4)


@pytest.mark.parametrize("levels", [2, 5, 1000])
def test_equal_scores_are_one_threshold(levels: int) -> None:
    """An INT8 map has few distinct values: sorted ties must not lend it an order."""
    random = np.random.default_rng(levels)
    masks = random.random((3, 16, 16)) < 0.2
    maps = (random.integers(0, levels, masks.shape) + masks).astype(np.float32)
    metrics = pixel_metrics(maps, masks)
    assert metrics.auroc == pytest.approx(roc_auc_score(masks.ravel(), maps.ravel()))
    assert metrics.ap == pytest.approx(average_precision_score(masks.ravel(), maps.ravel()))
    assert image_auroc(masks.ravel(), maps.ravel()) == pytest.approx(metrics.auroc)


@pytest.mark.parametrize("stray", [3.0, 1e6])
def test_a_map_that_strays_does_not_blur_the_others(stray: float) -> None:
    """Pixels are counted by level, not sorted: memory would grow seventy times as fast as maps."""
    random = np.random.default_rng(0)
    masks = random.random((4, 128, 128)) < 0.01
    maps = (random.normal(-3, 1, masks.shape) + 2 * masks).astype(np.float32)
    maps[0, 0, 0] = stray
    metrics = pixel_metrics(maps, masks)
    flat, truth = maps.ravel(), masks.ravel()
    assert metrics.auroc == pytest.approx(roc_auc_score(truth, flat), abs=1e-6)
    assert metrics.ap == pytest.approx(average_precision_score(truth, flat), abs=1e-4)


# One image of one row: its scores, its mask, and the AUPRO that follows by hand. Nine normal
# pixels or more keep single false alarms on both sides of the limit of 0.3.
AUPRO_BY_HAND = [
    # the region comes before every normal pixel
    ([9, 9] + [1] * 10, [1, 1] + [0] * 10, 1.0),
    # one score for all: the curve is the diagonal, 0.3 high at the limit
    ([1] * 12, [1, 1] + [0] * 10, 0.15),
    # half of the region first, the rest together with all normals: from 0.5 up to 0.65
    ([9, 1] + [1] * 10, [1, 1] + [0] * 10, 0.575),
    # a region of one pixel weighs as much as one of four; the large one is never found in time
    ([9] + [5] * 10 + [1] * 4, [1] + [0] * 10 + [1] * 4, 0.5),
    # two of ten normals come first (rate 0.2, overlap 0), then the whole region
    ([9, 9, 5] + [1] * 8, [0, 0, 1] + [0] * 8, 1 / 3),
]


@pytest.mark.parametrize(("scores", "mask", "expected"), AUPRO_BY_HAND)
def test_aupro_by_hand(scores: list[int], mask: list[int], expected: float) -> None:
    maps, masks = np.array([[scores]], np.float32), np.array([[mask]], np.uint8)
    assert pixel_metrics(maps, masks).aupro == pytest.approx(expected)


def test_pixels_that_touch_at_a_corner_are_one_region() -> None:
    """As one region of 2 and one of 1: overlaps of a half and of nothing, mean a quarter."""
    mask = np.zeros((1, 8, 8), np.uint8)
    mask[0, [1, 2, 6], [1, 2, 6]] = 255
    maps = np.zeros((1, 8, 8), np.float32)
    maps[0, 1, 1], maps[0, 2, 2], maps[0, 6, 6] = 3.0, -1.0, -1.0
    assert pixel_metrics(maps, mask).aupro == pytest.approx(0.25)


def test_ignored_pixels_count_for_nothing() -> None:
    """Neither the false alarms nor the defects under an ignore mask; the rest is as without it."""
    random = np.random.default_rng(0)
    maps = random.normal(0, 1, (3, 12, 10)).astype(np.float32)
    masks = np.zeros((3, 12, 10), np.uint8)
    masks[0, 3:6, 2:5] = masks[1, 9:11, 6:9] = 255
    expected = pixel_metrics(maps, masks)
    wider, marked = (np.pad(array, ((0, 0), (4, 0), (0, 0))) for array in (maps, masks))
    wider[:, :4], marked[:, 1:3, 2:6] = 99.0, 255
    ignored = np.zeros((16, 10), np.bool_)
    ignored[:4] = True
    assert pixel_metrics(wider, marked, ignored) == expected
    assert pixel_metrics(wider, marked) != expected


MAPS, MASKS = np.zeros((2, 4, 4), np.float32), np.eye(4, dtype=np.uint8)[None].repeat(2, axis=0)
DIVERGED = np.full((2, 4, 4), np.nan, np.float32)


@pytest.mark.parametrize(
    ("maps", "masks", "message"),
    [
        (MAPS, np.zeros_like(MASKS), "all are good"),
        (MAPS, np.ones_like(MASKS), "all are defective"),
        (MAPS[:1], MASKS, r"have shape \(1, 4, 4\), their masks \(2, 4, 4\)"),
        (MAPS[0], MASKS[0], r"must be \[N, H, W\]"),
        (DIVERGED, MASKS, "not finite"),
    ],
)
def test_maps_that_cannot_be_judged_are_refused(
    maps: NDArray, masks: NDArray, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        pixel_metrics(maps, masks)


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ([0, 0], [0.1, 0.2], "good and defective images, and all are good"),
        ([0, 1], [0.1, float("inf")], "not finite"),
        ([0, 1, 1], [0.1, 0.2], "shape"),
    ],
)
def test_scores_that_cannot_be_judged_are_refused(
    labels: list[int], scores: list[float], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        image_auroc(labels, scores)


def test_pixel_ap_alone_is_that_of_all_the_metrics() -> None:
    random = np.random.default_rng(7)
    maps, masks = random.normal(size=(4, 16, 16)), random.random((4, 16, 16)) < 0.1
    assert pixel_ap(maps, masks) == pixel_metrics(maps, masks).ap
