"""A camera that has gone dark, blind, blunt or dead is told from a part that is bad."""

from __future__ import annotations

import numpy as np
import pytest

from agent.camera import product
from agent.camera.rehearsal import PICTURE_FAULTS
from agent.picture import encode_thumbnail, glance_at, look_at
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


def fault(check: PictureCheck, image: np.ndarray, previous: np.ndarray | None = None) -> str | None:
    return check.fault(image, glance_at(model_frame(image)), previous)


@pytest.mark.parametrize("kind", PICTURE_FAULTS)
def test_a_fault_is_named_and_a_good_picture_after_it_is_good(
    normals: list[np.ndarray], kind: str
) -> None:
    check = PictureCheck(normal_look(normals))
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


def test_a_bright_part_that_is_burnt_out_is_saturated(normals: list[np.ndarray]) -> None:
    """No mean level lies as far above a bright part's as it may lie; its white pixels tell."""
    bright = [np.asarray(np.clip(image * 0.3 + 170, 0, 245), np.uint8) for image in normals]
    assert np.mean(bright) > 191.25
    check = PictureCheck(normal_look(bright))
    said = fault(check, np.asarray(np.clip(bright[0] * 1.3, 0, 255), np.uint8))
    assert said is not None and said.startswith("saturated")
    assert fault(check, bright[1], bright[0]) is None


def test_a_line_whose_light_varies_is_given_as_much_room(normals: list[np.ndarray]) -> None:
    dimmed = [np.asarray(image * share, np.uint8) for image in normals for share in (0.5, 1.0)]
    dim = np.asarray(normals[0] * 0.4, np.uint8)
    assert fault(PictureCheck(normal_look(dimmed)), dim) is None
    said = fault(PictureCheck(normal_look(normals)), dim)
    assert said is not None and said.startswith("dark")
