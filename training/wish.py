"""What a user asks of a view, and the words for it on the command line."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.errors import InputError
from training.view import Roi

# A neighbour sees whole what is cut at a tile's edge, if it is smaller than the overlap.
OVERLAP_SHARE = 1 / 8
MAX_TILES = 100
# Of no more digits: Python refuses to read thousands.
NUMBER = r"(\d{1,9})"


@dataclass(frozen=True)
class ViewWish:
    """What a user asks for; None: to be chosen, or none at all.

    ignore_mask: an image file of the camera's size, white where nothing is to be inspected;
    align: whether to follow the part where that helps; grid: (rows, columns); overlap: share of a
    tile; window: levels of 16-bit images that become 0 and 255.
    """

    roi: Roi | None = None
    ignore_mask: Path | None = None
    align: bool = True
    grid: tuple[int, int] | None = None
    overlap: float = OVERLAP_SHARE
    window: tuple[int, int] | None = None


def parse_wish(
    roi: str | None,
    ignore_mask: Path | None,
    align: str,
    tiles: str,
    overlap: str,
    window: str | None,
) -> ViewWish:
    """The wish in the words of the command line; InputError where they cannot be read."""
    region = grid = levels = None
    if roi is not None:
        x, y, width, height = _numbers(roi, ",".join([NUMBER] * 4), "--roi 100,40,640,480")
        if not (width and height):
            raise InputError(f"--roi {roi}: width and height must not be 0")
        region = Roi(x=x, y=y, width=width, height=height)
    if tiles != "auto":
        rows, columns = _numbers(tiles, rf"{NUMBER}x{NUMBER}", "--tiles auto or --tiles 1x3")
        if not 0 < rows * columns <= MAX_TILES:
            raise InputError(f"--tiles {tiles}: give 1 to {MAX_TILES} tiles")
        grid = (rows, columns)
    (share,) = _numbers(overlap, r"(\d+(?:\.\d+)?)%", "--overlap 12.5%", float)
    if not 0 <= share <= 50:
        raise InputError(f"--overlap {overlap}: give 0% to 50%")
    if window is not None:
        low, high = _numbers(window, rf"{NUMBER}:{NUMBER}", "--window 0:4095")
        if not low < high < 1 << 16:
            raise InputError(f"--window {window}: LOW must be below HIGH, and HIGH below 65536")
        levels = (low, high)
    return ViewWish(region, ignore_mask, align == "auto", grid, share / 100, levels)


def _numbers(
    text: str, pattern: str, example: str, kind: Callable[[str], Any] = int
) -> tuple[Any, ...]:
    found = re.fullmatch(pattern, text)
    if not found:
        raise InputError(f"{example.split()[0]} {text}: give it as in {example}")
    return tuple(kind(value) for value in found.groups())
