"""The grid follows the picture's shape and size, and how much of it the part fills."""

from __future__ import annotations

import pytest

from training.tiling import choose_tiles

MODEL = (256, 256)


def smooth(canvas: tuple[int, int]) -> float:
    return 0.1


def full_of_detail(canvas: tuple[int, int]) -> float:
    return 0.3


@pytest.mark.parametrize(
    ("region", "grid"),
    [
        ((256, 256), (1, 1)),
        ((1024, 1024), (1, 1)),  # as published benchmarks have it
        ((480, 640), (1, 1)),  # cameras of 4:3
        ((270, 324), (1, 1)),  # magnetic tiles
        ((630, 250), (3, 1)),  # commutators: three tiles nearly square
        ((250, 630), (1, 3)),
        ((1080, 1920), (1, 2)),
        ((400, 4000), (1, 11)),
        ((3000, 4000), (2, 3)),  # 12 megapixels: 16 camera pixels on one would hide a crack
        ((40, 40), (1, 1)),
    ],
)
def test_tiles_follow_shape_and_size(region: tuple[int, int], grid: tuple[int, int]) -> None:
    tiles, _ = choose_tiles(region, MODEL, 32, None, smooth)
    assert (tiles.rows, tiles.columns) == grid
    assert tiles.overlap == (0 if grid == (1, 1) else 32)


@pytest.mark.parametrize(
    ("region", "grid"),
    [
        ((800, 600), (3, 2)),  # in one tile a missing knob of a tyre is five pixels
        ((1024, 1024), (2, 2)),
        ((640, 640), (1, 1)),
        ((1080, 1920), (2, 4)),
        ((3000, 4000), (2, 3)),  # with 3 x 4 tiles no line would keep up
    ],
)
def test_what_would_lose_much_detail_is_cut_finer(
    region: tuple[int, int], grid: tuple[int, int]
) -> None:
    tiles, because = choose_tiles(region, MODEL, 32, None, full_of_detail)
    assert (tiles.rows, tiles.columns) == grid
    assert ("30% of the detail" in because) is (tiles.rows > 1)


@pytest.mark.parametrize(
    ("region", "part_share", "grid"),
    [
        ((1024, 1024), 0.15, (2, 2)),
        ((700, 640), 0.3, (1, 1)),
        ((600, 600), 0.3, (1, 1)),
        ((600, 600), 0.1, (2, 2)),
        ((1080, 1920), 0.1, (2, 4)),
        ((300, 300), 0.1, (1, 1)),  # the camera has no more to show
    ],
)
def test_a_small_part_is_cut_finer(
    region: tuple[int, int], part_share: float, grid: tuple[int, int]
) -> None:
    tiles, because = choose_tiles(region, MODEL, 32, part_share, smooth)
    assert (tiles.rows, tiles.columns) == grid
    assert ("of the picture" in because) is (tiles.rows > 1)
