"""Pictures that are of no use are told from parts that only differ."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from agent.camera.product import render
from agent.camera.rehearsal import PICTURE_FAULTS
from agent.imaging import is_grey
from agent.picture import look_at
from calibration.gate import Gate

PARTS = [render(21, index, 0.0)[0] for index in range(30)]


def refuse(gate: Gate, name: str, image: np.ndarray) -> str | None:
    return gate.refuse(name, image, look_at(image), faded=is_grey(image))


@pytest.fixture
def gate() -> Gate:
    """A gate that has seen twenty good pictures, and refused none."""
    gate = Gate()
    assert [refuse(gate, f"{i}.png", part) for i, part in enumerate(PARTS[:20])] == [None] * 20
    return gate


def test_an_even_sheet_of_strong_yellow_is_no_burnt_out_picture() -> None:
    """Its red channel is at the end throughout, the other two show all there is to see."""
    grain = np.random.default_rng(0).normal(0, 2, (3, 128, 128, 3))
    sheets = (np.array([40, 190, 253]) + grain).clip(0, 255).astype(np.uint8)
    gate = Gate()
    assert [refuse(gate, f"{i}.png", sheet) for i, sheet in enumerate(sheets)] == [None] * 3


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda p: p, None),
        (lambda p: (p * 0.8).astype(np.uint8), None),
        (lambda p: p // 3, "dark: mean grey level"),
        (lambda p: p // 60, "dark: mean grey level"),
        (lambda p: cv2.GaussianBlur(p, (0, 0), 2.5), "blurred: sharpness"),
        (lambda p: np.clip(p * 2.0, 0, 255).astype(np.uint8), "saturated:"),
        (lambda p: np.full_like(p, 255), "saturated: 100%"),
        (lambda p: PICTURE_FAULTS["grey"](p), "grey: no colours, the training images had some"),
        (lambda p: PARTS[4].copy(), "the same picture as 4.png"),
    ],
)
def test_a_picture_of_no_use_is_refused_with_its_reason(
    gate: Gate, spoil: Callable[[np.ndarray], np.ndarray], reason: str | None
) -> None:
    found = refuse(gate, "new.png", spoil(PARTS[25]))
    assert (found is None) == (reason is None)
    assert reason is None or (found or "").startswith(reason)


def test_a_copy_of_a_picture_that_is_ruled_out_is_refused(gate: Gate) -> None:
    gate.rule_out("defect.png", PARTS[25])
    assert refuse(gate, "copy.png", PARTS[25].copy()) == "the same picture as defect.png"
    assert refuse(gate, "new.png", PARTS[26]) is None


@pytest.mark.parametrize(
    "lit",
    [
        lambda part: np.where(part < 90, 255, part // 2).astype(np.uint8),
        lambda part: np.where(part > 200, 60, 0).astype(np.uint8),
    ],
    ids=["before a lit ground", "dark field"],
)
def test_a_line_whose_pictures_are_mostly_white_or_black_is_calibrated(
    lit: Callable[[np.ndarray], np.ndarray],
) -> None:
    gate = Gate()
    pictures = [lit(part) for part in PARTS[:12]]
    share = look_at(pictures[0])
    assert share.saturated > 0.5 or share.brightness < 8
    assert [refuse(gate, str(i), picture) for i, picture in enumerate(pictures)] == [None] * 12
    assert (refuse(gate, "off", np.full_like(PARTS[0], 255 * (share.saturated > 0.5))) or "") != ""


def test_grey_pictures_count_for_a_model_that_has_seen_some() -> None:
    gate = Gate()
    for index, part in enumerate(PARTS[:20]):
        picture = PICTURE_FAULTS["grey"](part) if index % 9 else part
        assert gate.refuse(str(index), picture, look_at(picture)) is None
    assert gate.look_again() == {}


def test_a_camera_without_colours_shows_no_usable_part_from_the_first_on() -> None:
    gate = Gate()
    assert (refuse(gate, "0", PICTURE_FAULTS["grey"](PARTS[0])) or "").startswith("grey")
    assert (refuse(gate, "1", np.zeros_like(PARTS[0])) or "").startswith("dark")


def test_a_part_that_stands_still_counts_once(gate: Gate) -> None:
    noise = np.random.default_rng(0).normal(0, 2, PARTS[19].shape)
    again = np.clip(PARTS[19] + noise, 0, 255).astype(np.uint8)
    assert refuse(gate, "again", again) == "the same part as in the picture before"
    assert refuse(gate, "next", PARTS[20]) is None


def test_a_fixed_part_under_noise_is_not_taken_for_standing_still() -> None:
    """Where all pictures differ by noise alone, noise is no reason to refuse one."""
    random = np.random.default_rng(1)
    gate = Gate()
    for index in range(40):
        image = np.clip(PARTS[0] + random.normal(0, 3, PARTS[0].shape), 0, 255).astype(np.uint8)
        assert refuse(gate, str(index), image) is None


def test_the_first_pictures_are_looked_at_again_when_the_usual_is_known() -> None:
    gate = Gate()
    blurred = cv2.GaussianBlur(PARTS[0], (0, 0), 3)
    assert refuse(gate, "first", blurred) is None
    for index in range(1, 25):
        assert refuse(gate, str(index), PARTS[index]) is None
    late = gate.look_again()
    assert list(late) == [0] and late[0].startswith("blurred")
    assert gate.look_again() == {}


def test_a_line_on_which_the_light_differs_widely_is_calibrated_with_all_of_it() -> None:
    """Against the median alone, a third of its good parts would set no limit."""
    gate = Gate()
    shares = [0.35, 1.0, 0.65, 0.5, 0.85] * 4
    lit = [(part * share).astype(np.uint8) for part, share in zip(PARTS, shares, strict=False)]
    assert [refuse(gate, str(index), part) for index, part in enumerate(lit)] == [None] * 20
    assert refuse(gate, "dim", (PARTS[25] * 0.36).astype(np.uint8)) is None


def test_a_burnt_out_picture_among_the_first_opens_the_door_to_no_other() -> None:
    gate = Gate()
    burnt = [np.clip(part * 2.0, 0, 255).astype(np.uint8) for part in (PARTS[28], PARTS[29])]
    assert refuse(gate, "first", burnt[0]) is None
    for index, part in enumerate(PARTS[:25]):
        assert refuse(gate, str(index), part) is None
    assert (refuse(gate, "later", burnt[1]) or "").startswith("saturated")
