"""Choosing the grid of tiles that a picture is cut in."""

from __future__ import annotations

import math
from collections.abc import Callable

from training.view import Tiles

# One tile may squeeze a region this far from square: cameras of 4:3 stay whole, those of 3:2 not.
SQUARISH = 1.4
# More camera pixels than this along one pixel of the model, and the grid gets finer, whatever it
# costs; more than this other, and it does as long as there are few tiles.
MAX_SHRINK, FINE_SHRINK, FEW_TILES = 8.0, 2.5, 8
# A part that fills less of the picture than this is to be seen twice as large.
SMALL_PART = 0.2


def choose_tiles(
    region: tuple[int, int], input_size: tuple[int, int], overlap: int, part_share: float | None
) -> tuple[Tiles, str]:
    """The grid in which a region is seen, and the reason.

    One tile where it squeezes the region little; else as many along the longer side as keep its
    shape best. Where one pixel of the model would still stand for more than `FINE_SHRINK` of the
    camera, the shorter side is cut as well, in up to `FEW_TILES` in all, and in as many as it takes
    beyond `MAX_SHRINK`. Where the part fills little of the picture, most of what the model looks at
    is background, and the part is small in it: half of that shrinking is too much already.

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
    because = "near enough to square, and not too large, for one"
    if along > 1:
        because = "tiles nearest to square"
    small = part_share is not None and part_share < SMALL_PART
    fine = FINE_SHRINK / 2 if small else FINE_SHRINK
    while (shrunk := max(shrink(short, across), shrink(long, along))) > fine:
        finer = _most_alike(shrink, short, long, across + 1)
        if shrunk <= MAX_SHRINK and (across + 1) * finer > FEW_TILES:
            break
        across, along = across + 1, finer
        because = (
            f"so that less detail is lost, for the work of {across * along} frames (--tiles "
            "overrules this)"
        )
        if small:
            because = f"the part fills {part_share:.0%} of the picture; {because}"
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
