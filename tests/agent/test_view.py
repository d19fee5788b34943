"""A camera image becomes the canvas and the tiles that the model was trained on, or is refused."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from agent.alignment import Alignment
from agent.bundle import open_bundle
from agent.errors import InputError
from agent.imaging import Roi
from agent.manifest import Tiles
from agent.pixels import PIXELS
from agent.view import PAINT, View
from tests.posed import alignment, lying
from tests.tiny import write_tiny_bundle


@pytest.fixture
def picture() -> NDArray[np.uint8]:
    """uint8 [90, 120, 3]: noise."""
    return np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)


def ignoring(height: int, width: int, where: tuple[slice, slice]) -> NDArray[np.bool_]:
    mask = np.zeros((height, width), np.bool_)
    mask[where] = True
    return mask


@pytest.mark.parametrize(
    "image",
    [
        np.full((64, 64), 7, np.uint8),
        np.full((64, 64, 1), 7, np.uint8),
        np.full((200, 100, 3), 7, np.uint8),
        np.full((10, 10, 3), 7, np.uint8),
    ],
    ids=["grey", "grey with an axis", "larger", "smaller"],
)
def test_every_camera_image_becomes_the_same_kind_of_frame(image: np.ndarray) -> None:
    frame = View((32, 48)).canvas(image)
    assert frame.dtype == np.uint8 and frame.flags.c_contiguous
    np.testing.assert_array_equal(frame, np.full((32, 48, 3), 7))


def test_a_frame_of_the_models_size_passes_untouched(picture: NDArray[np.uint8]) -> None:
    np.testing.assert_array_equal(View((90, 120)).canvas(picture), picture)


@pytest.mark.parametrize(
    ("image", "alignment", "levels"),
    [
        (
            np.random.default_rng(0).integers(0, 256, (21, 30, 3), np.uint8),
            None,
            [[136, 124, 115, 118, 112], [127, 141, 116, 132, 107], [127, 133, 125, 147, 140]],
        ),
        (
            lying(150, 110, 33),
            Alignment(**alignment()),
            [[208, 203, 200, 204, 206], [154, 124, 128, 115, 109], [153, 127, 122, 122, 112]],
        ),
    ],
    ids=["all of it", "the part"],
)
def test_what_the_model_is_shown_changes_with_its_version_only(
    image: NDArray[np.uint8], alignment: Alignment | None, levels: list[list[int]]
) -> None:
    """A limit was once used for other pixels than it was taken from, without a word.

    Where this fails, the pixels have changed: raise `agent.pixels.PIXELS`, then write down these.
    """
    size = (4, 5) if alignment is None else (4, 8)
    canvas = View(size, alignment=alignment).canvas(image)
    assert PIXELS == 2
    np.testing.assert_allclose(canvas[:3, :5, 1].astype(int), levels, rtol=0, atol=1)


def test_a_near_black_image_stays_near_black() -> None:
    assert View((32, 32)).canvas(np.ones((32, 32, 3), np.uint8)).max() == 1


def test_only_the_region_of_interest_is_seen(picture: NDArray[np.uint8]) -> None:
    frame = View((40, 50), Roi(x=10, y=20, width=50, height=40)).canvas(picture)
    assert frame.flags.c_contiguous
    np.testing.assert_array_equal(frame, picture[20:60, 10:60])


@pytest.mark.parametrize("roi", [(100, 0, 21, 40), (0, 60, 10, 31)], ids=["right", "below"])
def test_a_region_of_interest_outside_the_image_is_refused(
    picture: NDArray[np.uint8], roi: tuple[int, int, int, int]
) -> None:
    x, y, width, height = roi
    with pytest.raises(InputError, match="120x90"):
        View((40, 50), Roi(x=x, y=y, width=width, height=height)).canvas(picture)


def test_a_camera_set_to_another_size_is_refused(picture: NDArray[np.uint8]) -> None:
    with pytest.raises(InputError, match="120x90 pixels, the training images were 240x180"):
        View((40, 50), image_size=(180, 240)).canvas(picture)


def test_tiles_cover_the_canvas_and_overlap() -> None:
    view = View((32, 48), tiles=Tiles(rows=2, columns=3, overlap=8))
    assert view.canvas_size == (56, 128)
    seen = np.zeros(view.canvas_size, int)
    for y, x in view.places:
        seen[y : y + 32, x : x + 48] += 1
    assert len(view.places) == 6
    assert seen.min() == 1 and (seen[24:32] >= 2).all() and (seen[:24, 40:48] == 2).all()


def test_what_is_ignored_cannot_be_seen(picture: NDArray[np.uint8]) -> None:
    where = np.s_[10:33, 41:77]
    view = View((45, 64), image_size=(90, 120), ignored=ignoring(90, 120, where))
    other = picture.copy()
    other[where] = 255 - other[where]
    canvas = view.canvas(picture)
    np.testing.assert_array_equal(canvas, view.canvas(other))
    assert (canvas[8:14, 24:38] == PAINT).all()


def test_the_mask_lies_over_the_image_also_within_a_region_of_interest(
    picture: NDArray[np.uint8],
) -> None:
    view = View(
        (40, 50),
        Roi(x=10, y=20, width=50, height=40),
        image_size=(90, 120),
        ignored=ignoring(90, 120, np.s_[30:35, 15:18]),
    )
    painted = (view.canvas(picture) == PAINT).all(axis=2)
    assert painted[10:15, 5:8].all() and painted.sum() == 15
    assert view.ignored_on_canvas is not None
    np.testing.assert_array_equal(view.ignored_on_canvas, painted)


def test_a_tile_with_nothing_to_inspect_is_left_out() -> None:
    ignored = ignoring(32, 96, np.s_[:, 30:70])
    view = View((32, 32), image_size=(32, 96), ignored=ignored, tiles=Tiles(columns=3))
    assert view.places == [(0, 0), (0, 64)]


def test_the_view_comes_from_the_bundle(tmp_path: Path) -> None:
    mask = cv2.imencode(".png", ignoring(80, 200, np.s_[:20]).astype(np.uint8) * 255)[1].tobytes()
    bundle = open_bundle(
        write_tiny_bundle(
            tmp_path / "tiny.nlb",
            view={
                "region_of_interest": {"x": 10, "y": 0, "width": 160, "height": 80},
                "image_size": (80, 200),
                "ignore_mask": "ignore_mask.png",
                "tiles": {"rows": 1, "columns": 2, "overlap": 8},
                "window": (0, 4095),
                "score_pixels": 50,
            },
            members={"ignore_mask.png": mask},
        )
    )
    view = View.of(bundle)
    assert view.canvas_size == (64, 120) and len(view.places) == 2
    canvas = view.canvas(np.full((80, 200), 4095, np.uint16))
    assert (canvas[:15] == PAINT).all() and (canvas[18:] == 255).all()


def test_a_mask_of_another_size_than_the_images_is_refused(tmp_path: Path) -> None:
    mask = cv2.imencode(".png", np.zeros((80, 100), np.uint8))[1].tobytes()
    view = {"image_size": (80, 200), "ignore_mask": "ignore_mask.png", "score_pixels": 50}
    path = write_tiny_bundle(tmp_path / "tiny.nlb", view=view, members={"ignore_mask.png": mask})
    with pytest.raises(InputError, match="ignore mask is 100x80 pixels, the training images"):
        View.of(open_bundle(path))


@pytest.mark.parametrize(
    ("view", "message"),
    [
        ({"ignore_mask": "ignore_mask.png"}, "image_size"),
        ({"tiles": {"rows": 1, "columns": 2, "overlap": 40}}, "overlap"),
        ({"tiles": {"rows": 0, "columns": 2}}, "rows"),
        ({"window": (9, 9)}, "window"),
        ({"window": (0, 1 << 16)}, "window"),
    ],
)
def test_a_manifest_with_an_impossible_view_is_refused(
    view: dict, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        write_tiny_bundle(tmp_path / "tiny.nlb", view=view)


def test_a_model_that_knows_no_colours_is_shown_none(picture: NDArray[np.uint8]) -> None:
    view = View((40, 50), grey=True)
    grey = np.repeat(picture[..., :1], 3, axis=2)
    np.testing.assert_array_equal(view.canvas(picture[..., :1]), view.canvas(grey))
    stained = grey.copy()
    stained[10:14, 20:24, 2] ^= 64  # red alone, which a model of one colour would not see
    with pytest.raises(InputError, match="is in colour, the training images were grey"):
        view.canvas(stained)
    View((40, 50)).canvas(stained)


@pytest.mark.parametrize(
    ("size", "fits"),
    [((1080, 1920), True), ((1088, 1920), True), ((720, 1280), True), ((1050, 1920), False)]
    + [((1110, 1920), False), ((1920, 1080), False)],
)
def test_images_of_another_shape_than_the_training_images_are_refused(
    size: tuple[int, int], fits: bool
) -> None:
    """Squeezed into the model's frame, a round part is an oval one."""
    view = View((40, 50), trained_size=(1080, 1920))
    image = np.zeros((*size, 3), np.uint8)
    if fits:
        assert view.canvas(image).shape == (40, 50, 3)
        return
    with pytest.raises(InputError, match="training images were 1920x1080, of another shape: set"):
        view.canvas(image, "a.png")
