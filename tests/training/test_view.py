"""Training and the agent see the same pixels of an image, whatever the view."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import agent.errors
import agent.pixels
import agent.view
import training.pixels
from agent import imaging, manifest
from training.errors import InputError
from training.view import Roi, Tiles, View, ViewSettings

IMAGE = (90, 120)
MASK = np.zeros(IMAGE, np.bool_)
MASK[20:50, 61:90] = True
MASK[:8] = True


def views(
    settings: ViewSettings, ignored: NDArray[np.bool_] | None
) -> tuple[View, agent.view.View]:
    """The same view, as training has it and as the agent has it."""
    roi = settings.region_of_interest
    return View((32, 48), settings, ignored), agent.view.View(
        (32, 48),
        imaging.Roi(**roi.model_dump()) if roi else None,
        settings.image_size,
        ignored,
        manifest.Tiles(**settings.tiles.model_dump()),
        settings.window,
    )


VIEWS = {
    "whole": ({}, None),
    "region": ({"region_of_interest": Roi(x=11, y=13, width=97, height=70)}, None),
    "tiles": ({"tiles": Tiles(rows=2, columns=3, overlap=6)}, None),
    "mask": ({"image_size": IMAGE}, MASK),
    "all": (
        {
            "region_of_interest": Roi(x=11, y=3, width=97, height=80),
            "image_size": IMAGE,
            "tiles": Tiles(rows=3, columns=2, overlap=5),
        },
        MASK,
    ),
}


def test_both_number_their_pixels_alike() -> None:
    assert training.pixels.PIXELS == agent.pixels.PIXELS


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("window", [None, (0, 4095), (300, 2900)])
def test_training_and_agent_see_the_same(name: str, window: tuple[int, int] | None) -> None:
    """A model that trained on one resampling and runs on another sees another texture."""
    fields, ignored = VIEWS[name]
    ours, theirs = views(ViewSettings(**fields, window=window), ignored)
    random = np.random.default_rng(1)
    image = random.integers(0, 256 if window is None else 4096, (*IMAGE, 3))
    image = image.astype(np.uint8 if window is None else np.uint16)
    canvas = ours.canvas(image, "a")
    assert canvas.shape == (*ours.canvas_size, 3)
    np.testing.assert_array_equal(canvas, theirs.canvas(image, "a"))
    assert ours.places == theirs.places
    thin = np.zeros(IMAGE, bool)
    thin[30:60, 41] = True
    for truth in (random.random(IMAGE) > 0.5, thin):
        shown = ours.seen(image, "a").mask(truth)
        assert shown.any()
        np.testing.assert_array_equal(shown, theirs.seen(image, "a").mask(truth))
    if ignored is not None:
        np.testing.assert_array_equal(ours.ignored_on_canvas, theirs.ignored_on_canvas)


@pytest.mark.parametrize(
    ("fields", "image"),
    [
        ({"image_size": (80, 120)}, np.zeros((*IMAGE, 3), np.uint8)),
        (
            {"region_of_interest": Roi(x=0, y=60, width=9, height=31)},
            np.zeros((*IMAGE, 3), np.uint8),
        ),
        ({}, np.zeros((*IMAGE, 3), np.uint16)),
        ({"window": (0, 1023)}, np.zeros((*IMAGE, 3), np.uint8)),
    ],
    ids=["size", "region", "deep", "shallow"],
)
def test_both_refuse_what_the_view_is_not_for(fields: dict, image: NDArray) -> None:
    ours, theirs = views(ViewSettings(**fields), None)
    with pytest.raises(InputError, match="a.png"):
        ours.canvas(image, "a.png")
    with pytest.raises(agent.errors.InputError, match="a.png"):
        theirs.canvas(image, "a.png")


def test_tiles_of_one_image_stay_together() -> None:
    view = View((2, 3), ViewSettings(tiles=Tiles(rows=2, columns=2, overlap=1)))
    canvases = np.arange(2 * 3 * 5).reshape(2, 3, 5)
    tiles = view.cut(canvases)
    assert tiles.shape == (8, 2, 3)
    np.testing.assert_array_equal(tiles[0], canvases[0, :2, :3])
    np.testing.assert_array_equal(tiles[3], canvases[0, 1:, 2:])
    np.testing.assert_array_equal(tiles[4], canvases[1, :2, :3])


def test_one_tile_is_the_canvas() -> None:
    canvases = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    np.testing.assert_array_equal(View((32, 32)).cut(canvases), canvases)
