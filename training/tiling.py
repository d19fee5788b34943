"""Choosing the grid of tiles that a picture is cut in."""

from __future__ import annotations

import math
from collections.abc import Callable

from training.view import Tiles

# One tile may squeeze a region this far from square: cameras of 4:3 stay whole, those of 3:2 not.
SQUARISH = 1.4
# More camera pixels than this along one pixel of the model, and the grid gets finer.
MAX_SHRINK = 8.0
# A part that fills less of the picture than this is cut finer.
SMALL_PART = 0.2


def choose_tiles(
    region: tuple[int, int], input_size: tuple[int, int], overlap: int, part_share: float | None
) -> tuple[Tiles, str]:
    """The coarsest grid whose tiles neither distort nor shrink the region much, and the reason.

    One tile where it squeezes the region little; else as many along the longer side as keep its
    shape best. Where one pixel of the model would still stand for more than `MAX_SHRINK` of the
    camera, the shorter side is cut as well. Where the part fills little of the picture, most of
    what the model looks at is background, and the part is small in it: all is cut in half once
    more, if the camera has the pixels.

    Args:
        region: (height, width) in camera pixels.
        input_size: (height, width) of the model.
        overlap: in pixels of the model.
        part_share: of the picture, that the part fills; None where there is no background.
    """

    def shrink(axis: int, tiles: int) -> float:
        return region[axis] / (tiles * input_size[axis] - (tiles - 1) * overlap)

    short, long = (0, 1) if shrink(0, 1) <= shrink(1, 1) else (1, 0)
    across = along = 1
    if shrink(long, 1) > SQUARISH * shrink(short, 1):
        along = _most_alike(shrink, short, long, across)
    while max(shrink(short, across), shrink(long, along)) > MAX_SHRINK:
        across += 1
        along = _most_alike(shrink, short, long, across)
    because = "tiles nearest to square"
    if across == along == 1:
        because = "near enough to square, and not too large, for one"
    finer = min(shrink(short, 2 * across), shrink(long, 2 * along)) >= 1
    if part_share is not None and part_share < SMALL_PART and finer:
        across, along = 2 * across, 2 * along
        because = (
            f"the part fills {part_share:.0%} of the picture and is seen twice as large so, for "
            "four times the work (--tiles overrules this)"
        )
    rows, columns = (across, along) if short == 0 else (along, across)
    return grid(rows, columns, overlap), because


def grid(rows: int, columns: int, overlap: int) -> Tiles:
    """A grid of tiles; one tile has no neighbour to overlap."""
    return Tiles(rows=rows, columns=columns, overlap=overlap if rows * columns > 1 else 0)


def _most_alike(shrink: Callable[[int, int], float], short: int, long: int, across: int) -> int:
    """How many tiles along the longer side shrink it most like the shorter one's `across` do."""

    def distortion(along: int) -> float:
        return abs(math.log(shrink(long, along) / shrink(short, across)))

    along = across
    while distortion(along + 1) < distortion(along):
        along += 1
    return along
