"""Good parts as the networks see them: tiles, each with where a defect could be."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.images import is_grey
from training.shared import shared_array
from training.synthesis.foreground import find_foregrounds
from training.view import View

# Less of the part than this in a tile, and the whole tile counts: it shows background, and what
# lies there that does not belong is a defect as well.
LEAST_PART = 0.02


@dataclass(frozen=True)
class Parts:
    """Tiles of good parts.

    tiles: uint8 [N, H, W, 3] BGR at the model's size, those of one image together.
    defectable: bool [N, H, W], where a defect could be; None: anywhere.
    is_object: whether the images show an object on a plain background, rather than a texture.
    grey: whether no tile has any colour, nor one of those they were cut with; None: look.
    """

    tiles: NDArray[np.uint8]
    defectable: NDArray[np.bool_] | None
    is_object: bool
    grey: bool | None = None

    def __len__(self) -> int:
        return len(self.tiles)

    @cached_property
    def is_grey(self) -> bool:
        """Whether no tile has any colour."""
        return all(map(is_grey, self.tiles)) if self.grey is None else self.grey

    def split(self, count: int) -> tuple[Parts, Parts]:
        """The first `count` and the rest, of one kind and colour."""
        halves = []
        for half in (slice(None, count), slice(count, None)):
            defectable = None if self.defectable is None else self.defectable[half]
            halves.append(Parts(self.tiles[half], defectable, self.is_object, self.is_grey))
        return halves[0], halves[1]

    def sample(self, count: int, seed: int) -> Parts:
        """At most `count` of them, drawn by `seed`, in their order."""
        if count >= len(self):
            return self
        drawn = np.sort(np.random.default_rng(seed).permutation(len(self))[:count])
        defectable = None if self.defectable is None else self.defectable[drawn]
        return Parts(self.tiles[drawn], defectable, self.is_object, self.grey)


def cut_parts(canvases: NDArray[np.uint8], view: View) -> Parts:
    """Cut canvases uint8 [N, H, W, 3] into tiles.

    The foreground is looked for on the whole canvas: a tile in the middle of an object has no
    background to know it by.
    """
    alignment = view.settings.alignment
    foregrounds = find_foregrounds(canvases, alignment.background if alignment else None)
    ignored = view.ignored_on_canvas
    is_object = foregrounds is not None
    if foregrounds is None and ignored is None:
        return Parts(_cut(canvases, view), None, is_object)
    if foregrounds is None:
        foregrounds = shared_array(canvases.shape[:3], np.bool_)
        foregrounds[:] = True
    # Whole foregrounds go before the tiles come: here the most memory is needed.
    defectable = foregrounds = _cut(foregrounds, view)
    background = defectable.mean(axis=(1, 2)) < LEAST_PART
    defectable[background] = True
    if ignored is not None:
        inspected = ~view.cut(ignored[None])
        of_images = defectable.reshape(-1, *inspected.shape)
        of_images &= inspected
    return Parts(_cut(canvases, view), defectable, is_object)


def _cut(pictures: NDArray[Any], view: View) -> NDArray[Any]:
    """Tiles of pictures [N, H, W, …], those of one together; where one tile is all, the same."""
    if view.canvas_size == view.input_size:
        return pictures
    each = len(view.places)
    size = (len(pictures) * each, *view.input_size, *pictures.shape[3:])
    tiles = shared_array(size, pictures.dtype)
    for index, picture in enumerate(pictures):
        tiles[index * each : (index + 1) * each] = view.cut(picture[None])
    return tiles
