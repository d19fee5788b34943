"""Choosing the grid of tiles that a picture is cut in."""

from __future__ import annotations

import math
from collections.abc import Callable

from training.view import Tiles

# One tile may squeeze a region this far from square: cameras of 4:3 stay whole, those of 3:2 not.
SQUARISH = 1.4
# More camera pixels than this along one pixel of the model, and the grid gets finer, whatever it
# costs; more than this other, and it does as long as there are few tiles and detail is lost.
MAX_SHRINK, FINE_SHRINK, FEW_TILES = 8.0, 2.5, 8
# Of what varies from place to place. In one tile a tyre's picture loses 39 %, and six found more; a
# pill's loses a tenth, and four found less.
MUCH_LOST = 1 / 6
# A part that fills less of the picture than this is to be seen twice as large.
SMALL_PART = 0.2


def choose_tiles(
    region: tuple[int, int],
    input_size: tuple[int, int],
    overlap: int,
    part_share: float | None,
    detail_lost: Callable[[tuple[int, int]], float],
) -> tuple[Tiles, str]:
    """The grid in which a region is seen, and the reason.

    One tile where it squeezes the region little; else as many along the longer side as keep its
    shape best. Where one pixel of the model would still stand for more than `FINE_SHRINK` of the
    camera, and much detail would be lost so, the shorter side is cut as well, in up to `FEW_TILES`
    in all; beyond `MAX_SHRINK` in as many as it takes. Where the part fills little of the picture,
    most of what the model looks at is background, and the part is small in it: half of
    `FINE_SHRINK` is too much there.

    Args:
        region: (height, width) in camera pixels.
        input_size: (height, width) of the model.
        overlap: in pixels of the model.
        part_share: of the picture, that the part fills; None where there is no background.
        detail_lost: of what varies from place to place, the share that a canvas of (height, width)
            does not show.
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

    def shrunk() -> float:
        return max(shrink(short, across), shrink(long, along))

    def tiles() -> Tiles:
        rows, columns = (across, along) if short == 0 else (along, across)
        return grid(rows, columns, overlap)

    limit, why = MAX_SHRINK, "too large for fewer"
    if part_share is not None and part_share < SMALL_PART:
        limit, why = FINE_SHRINK / 2, f"the part fills {part_share:.0%} of the picture"
    elif shrunk() > FINE_SHRINK:
        lost = detail_lost(tiles().canvas_size(input_size))
        if lost > MUCH_LOST:
            limit, why = FINE_SHRINK, f"{lost:.0%} of the detail would be lost in fewer"
    while shrunk() > limit:
        finer = _most_alike(shrink, short, long, across + 1)
        if shrunk() <= MAX_SHRINK and (across + 1) * finer > FEW_TILES:
            break
        across, along = across + 1, finer
        work = f"for the work of {across * along} frames (--tiles overrules this)"
        because = f"{why}, {work}"
    return tiles(), because


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
