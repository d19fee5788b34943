"""A flip is used where good parts allow it, and nowhere else."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from agent.camera.product import render
from training.symmetry import find_flips

SIDE = 96


def plates(seed: int, across: float = 0.0, down: float = 0.0) -> NDArray[np.uint8]:
    """Brushed plates, lighter towards the right by `across` and towards the bottom by `down`."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(-1, 1, SIDE)
    shade = across * ramp[None, :] + down * ramp[:, None]
    images = []
    for _ in range(40):
        grain = cv2.GaussianBlur(rng.normal(0, 60, (SIDE, SIDE)).astype(np.float32), (1, 15), 0)
        grey = np.clip(128 + rng.normal(0, 10) + shade + grain, 0, 255).astype(np.uint8)
        images.append(np.repeat(grey[..., None], 3, axis=-1))
    return np.stack(images)


@pytest.mark.parametrize(
    ("images", "flips"),
    [
        # a brushed texture looks the same either way up
        (plates(0), ["left-right", "top-bottom", "half turn"]),
        # light from the side: a tile may be mirrored along it only
        (plates(1, across=60.0), ["top-bottom"]),
        (plates(2, down=60.0), ["left-right"]),
        # light from a corner: only as it is
        (plates(3, across=60.0, down=30.0), []),
        # a flange with a bore off its centre and a stamped mark
        (np.stack([render(101, index, 0.0)[0] for index in range(24)]), []),
    ],
    ids=["texture", "side light", "top light", "corner light", "object"],
)
def test_flips_are_those_that_keep_a_good_part_good(
    images: NDArray[np.uint8], flips: list[str]
) -> None:
    assert find_flips(images) == flips


def cut(images: NDArray[np.uint8], rows: int, columns: int) -> NDArray[np.uint8]:
    """Tiles of a grid, those of one image together, as training has them."""
    tiles = [
        tile
        for image in images
        for row in np.split(image, rows)
        for tile in np.split(row, columns, axis=1)
    ]
    return np.stack(tiles)


@pytest.mark.parametrize("grid", [(1, 1), (1, 2), (2, 2), (2, 3), (2, 4)])
def test_the_tiles_of_a_part_are_alike_where_they_were_cut_from_one_place(
    grid: tuple[int, int],
) -> None:
    """Beside tiles of other places, a mirrored one seemed as near as any: all flips were taken."""
    rng = np.random.default_rng(5)
    layout = cv2.resize(rng.integers(40, 216, (6, 8), np.uint8), (192, 96))
    symmetric = np.concatenate((layout[:, :96], layout[:, :96][:, ::-1]), axis=1)
    for plate, flips in ((layout, []), (symmetric, ["left-right"])):
        images = np.clip(plate + rng.normal(0, 4, (30, 96, 192)), 0, 255).astype(np.uint8)
        tiles = cut(np.repeat(images[..., None], 3, axis=-1), *grid)
        assert find_flips(tiles, grid[0] * grid[1]) == flips


def test_two_shots_of_one_part_do_not_hide_a_symmetry() -> None:
    once = plates(4)
    assert find_flips(np.concatenate((once, once))) == ["left-right", "top-bottom", "half turn"]
