"""A camera that has gone dark, blind, blunt or dead is told from a part that is bad."""

from __future__ import annotations

import numpy as np
import pytest

from agent.camera import product
from agent.camera.rehearsal import PICTURE_FAULTS
from agent.picture import Glance, encode_thumbnail, glance_at, look_at
from agent.record import Picture, Spread
from agent.service.picture import PictureCheck
from agent.view import View

SIZE = (128, 128)


def render(index: int, defect_rate: float = 0.0) -> np.ndarray:
    return product.render(1, index, defect_rate)[0]


def model_frame(image: np.ndarray) -> np.ndarray:
    return View(SIZE).canvas(image)


def normal_look(images: list[np.ndarray]) -> Picture:
    looks = [look_at(model_frame(image)) for image in images]
    differences = [a.difference(b) for a, b in zip(looks, looks[1:], strict=False)]
    return Picture(
        brightness=Spread(values=sorted(look.brightness for look in looks)),
        sharpness=Spread(values=sorted(look.sharpness for look in looks)),
        saturated=Spread(values=sorted(look.saturated for look in looks)),
        difference=Spread(values=sorted(differences)),
        reference=encode_thumbnail(looks[0].thumbnail),
    )


@pytest.fixture(scope="module")
def normals() -> list[np.ndarray]:
    return [render(index) for index in range(30)]


def fault(
    check: PictureCheck,
    image: np.ndarray,
    previous: np.ndarray | None = None,
    repeats: bool = False,
) -> str | None:
    return check.fault(image, glance_at(model_frame(image)), previous, repeats)


@pytest.mark.parametrize("kind", PICTURE_FAULTS)
def test_a_fault_is_named_and_a_good_picture_after_it_is_good(
    normals: list[np.ndarray], kind: str
) -> None:
    check = PictureCheck(normal_look(normals), coloured=True)
    said = fault(check, PICTURE_FAULTS[kind](normals[0]))
    assert said is not None and said.startswith(kind)
    assert fault(check, normals[1], PICTURE_FAULTS[kind](normals[0])) is None


def test_parts_never_seen_before_are_no_fault_good_or_bad(normals: list[np.ndarray]) -> None:
    check = PictureCheck(normal_look(normals))
    assert [fault(check, render(1000 + index, 0.5)) for index in range(40)] == [None] * 40


def test_the_same_picture_again_is_a_frozen_camera_with_or_without_normals(
    normals: list[np.ndarray],
) -> None:
    for check in (PictureCheck(None), PictureCheck(normal_look(normals))):
        assert fault(check, normals[0]) is None
        said = fault(check, normals[0].copy(), normals[0])
        assert said is not None and said.startswith("frozen")
        assert fault(check, normals[1], normals[0]) is None


def test_a_single_pixel_of_noise_tells_a_standing_line_from_a_frozen_camera(
    normals: list[np.ndarray],
) -> None:
    check = PictureCheck(None)
    moved = normals[0].copy()
    moved[77, 33, 1] ^= 1
    assert fault(check, moved, normals[0]) is None


def test_where_normal_pictures_repeat_repetition_is_no_fault(normals: list[np.ndarray]) -> None:
    check = PictureCheck(normal_look([*normals, normals[-1]]))
    assert fault(check, normals[0], normals[0]) is None
    assert fault(check, normals[0], repeats=True) is None


def test_a_camera_that_has_lost_its_colours_is_at_fault_where_pictures_had_them(
    normals: list[np.ndarray],
) -> None:
    """A network camera that takes the night to have come, and lights the part well enough."""
    grey = PICTURE_FAULTS["grey"](normals[0])
    for usual in (normal_look(normals), None):
        assert fault(PictureCheck(usual, coloured=True), grey) == (
            "grey: no colours, the training images had some"
        )
        assert fault(PictureCheck(usual), grey) is None


def test_a_picture_without_light_is_dark_rather_than_grey(normals: list[np.ndarray]) -> None:
    said = fault(PictureCheck(normal_look(normals), coloured=True), np.zeros_like(normals[0]))
    assert said is not None and said.startswith("dark")


def test_a_single_coloured_pixel_is_a_colour() -> None:
    canvas = np.full((100, 100, 3), 90, np.uint8)
    assert not glance_at(canvas).coloured
    canvas[77, 33, 1] += 1
    assert glance_at(canvas).coloured


def test_a_bright_part_that_is_burnt_out_is_saturated(normals: list[np.ndarray]) -> None:
    """No mean level lies as far above a bright part's as it may lie; its white pixels tell."""
    bright = [np.asarray(np.clip(image * 0.3 + 170, 0, 245), np.uint8) for image in normals]
    assert np.mean(bright) > 191.25
    check = PictureCheck(normal_look(bright))
    said = fault(check, np.asarray(np.clip(bright[0] * 1.3, 0, 255), np.uint8))
    assert said is not None and said.startswith("saturated")
    assert fault(check, bright[1], bright[0]) is None


def test_a_lamp_that_is_too_strong_is_bright(normals: list[np.ndarray]) -> None:
    check = PictureCheck(normal_look([np.asarray(image * 0.5, np.uint8) for image in normals]))
    said = fault(check, np.asarray(normals[0] * 0.9, np.uint8))
    assert said is not None and said.startswith("bright")


def test_before_a_white_ground_a_part_that_is_burnt_out_is_saturated(
    normals: list[np.ndarray],
) -> None:
    """A third more than 80 % of the pixels is more than there are."""
    ground = normal_look(normals).model_copy(update={"saturated": Spread(values=[0.8, 0.82])})
    said = fault(PictureCheck(ground), np.full_like(normals[0], 255))
    assert said is not None and said.startswith("saturated")


def test_where_normal_pictures_are_white_altogether_white_is_no_fault(
    normals: list[np.ndarray],
) -> None:
    """Their rest is nothing, of which no share can be taken: the station did not start."""
    white = normal_look(normals).model_copy(update={"saturated": Spread(values=[1.0])})
    assert fault(PictureCheck(white), normals[1], normals[0]) is None


def test_a_line_whose_light_varies_is_given_as_much_room(normals: list[np.ndarray]) -> None:
    dimmed = [np.asarray(image * share, np.uint8) for image in normals for share in (0.5, 1.0)]
    dim = np.asarray(normals[0] * 0.3, np.uint8)
    assert fault(PictureCheck(normal_look(dimmed)), dim) is None
    said = fault(PictureCheck(normal_look(normals)), dim)
    assert said is not None and said.startswith("dark")


@pytest.mark.parametrize(
    ("measure", "normal", "within", "beyond", "said"),
    [
        ("brightness", [100.0, 110.0], 75.5, 74.5, "dark"),
        ("brightness", [100.0, 110.0], 146.5, 147.5, "bright"),
        ("brightness", [40.0, 80.0], 20.5, 19.5, "dark"),
        ("brightness", [40.0, 80.0], 159.5, 160.5, "bright"),
        ("sharpness", [0.4, 0.44], 0.305, 0.295, "blurred"),
        ("saturated", [0.2, 0.2], 0.39, 0.41, "saturated"),
    ],
)
def test_a_picture_may_lie_as_far_out_as_its_limit_and_no_further(
    normals: list[np.ndarray],
    measure: str,
    normal: list[float],
    within: float,
    beyond: float,
    said: str,
) -> None:
    """Half as bright as any was before, a part would be judged, and the most of it not be seen."""
    usual = normal_look(normals).model_copy(
        update={
            "brightness": Spread(values=[100.0]),
            "sharpness": Spread(values=[0.4]),
            "saturated": Spread(values=[0.0]),
            measure: Spread(values=normal),
        }
    )
    check, found = PictureCheck(usual), []
    for value in (within, beyond):
        seen = {"brightness": 100.0, "sharpness": 0.4, "saturated": 0.0, measure: value}
        canvas = np.zeros((100, 100, 3), np.uint8)
        canvas[: round(seen["saturated"] * 100)] = 255
        glance = Glance(canvas, canvas[..., 0], seen["brightness"], seen["sharpness"])
        found.append(check.fault(normals[0], glance, None))
    assert found[0] is None
    assert found[1] is not None and found[1].startswith(said)
