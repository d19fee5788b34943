"""The part is found as it lies, by training and by the agent alike."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

import agent.alignment
import agent.errors
from tests.posed import SIZE, anywhere, lying
from training.alignment import Aligner, Alignment
from training.errors import InputError
from training.fixturing import choose_alignment


@pytest.fixture(scope="module")
def alignment() -> Alignment:
    found = choose_alignment(anywhere(24))
    assert found is not None
    return found


@pytest.mark.parametrize("angle", [0, 7.5, 90, 135, 180, 264, 359])
def test_place_and_angle_are_found_within_a_pixel_and_a_degree(
    alignment: Alignment, angle: float
) -> None:
    aligner = Aligner(alignment)
    first, second = (aligner.find(lying(150, 118, turned), "a") for turned in (0.0, angle))
    assert (second.angle - first.angle - angle + 180) % 360 - 180 == pytest.approx(0, abs=1)
    moved = aligner.find(lying(163.5, 110, angle), "a")
    assert (moved.x - second.x, moved.y - second.y) == pytest.approx((13.5, -8), abs=0.5)


def test_the_window_says_where_it_lies(alignment: Alignment) -> None:
    """A defect that is found on it must be shown where it is."""
    aligner = Aligner(alignment)
    image = lying(150, 118, 40)
    image[115:120, 148:153] = 255
    window, to_image = aligner.window(image, aligner.find(image, "a"), (80, 160))
    bright = np.argwhere(window[..., 0] > 250)
    rows, columns = bright.mean(0) + 0.5
    x, y = to_image @ (columns, rows, 1)
    assert (x, y) == pytest.approx((150.5, 117.5), abs=1)


def test_a_large_picture_is_shrunk_without_dropping_pixels(alignment: Alignment) -> None:
    """Every second row is dark: a window of an eighth must be grey, not dark or bright."""
    striped = alignment.model_copy(update={"left": -80, "top": -80, "width": 160, "height": 160})
    image = np.zeros((*SIZE, 3), np.uint8)
    image[::2] = 200
    pose = Aligner(alignment).find(lying(150, 118, 0), "a")
    window, _ = Aligner(striped).window(image, pose, (20, 20))
    assert np.abs(window.astype(int) - 100).max() < 12


@pytest.mark.parametrize("size", [(34, 80), (68, 40), (17, 160), (20, 30), (50, 31)])
@pytest.mark.parametrize("angle", [0, 33])
def test_a_window_squeezed_on_one_side_averages_over_all_that_it_shows(
    alignment: Alignment, size: tuple[int, int], angle: float
) -> None:
    """Halved by its finer side alone, it showed of four pixels in a row two."""
    pose = Aligner(alignment).find(lying(150, 118, angle), "a")
    noise = np.random.default_rng(0).normal(128, 30, (*SIZE, 3)).clip(0, 255).astype(np.uint8)
    window, to_image = Aligner(alignment).window(noise, pose, size)
    shown = np.prod(np.maximum(1.0, np.hypot(*to_image[:, :2])))
    assert window.std() < 1.25 * noise.std() / np.sqrt(shown)
    theirs = agent.alignment.Aligner(agent.alignment.Alignment(**alignment.model_dump()))
    assert np.array_equal(
        theirs.window(noise, theirs.find(lying(150, 118, angle), "a"), size)[0], window
    )


def test_a_picture_without_a_part_is_refused_by_name(alignment: Alignment) -> None:
    empty = lying(-200, -200, 0)
    with pytest.raises(
        InputError, match=r"a\.png shows no part: .* fills 0\.0%.*`normline train --align off`"
    ):
        Aligner(alignment).find(empty, "a.png")
    theirs = agent.alignment.Aligner(agent.alignment.Alignment(**alignment.model_dump()))
    with pytest.raises(agent.errors.NoPart, match=r"a\.png shows no part: .* fills 0\.0%"):
        theirs.find(empty, "a.png")


def test_a_part_that_is_cut_off_is_refused(alignment: Alignment) -> None:
    """Half of it would be inspected, and the whole of it passed."""
    cut = lying(150, 30, 90)
    with pytest.raises(InputError, match=r"a\.png shows no whole part: it is cut off"):
        Aligner(alignment).find(cut, "a.png")
    theirs = agent.alignment.Aligner(agent.alignment.Alignment(**alignment.model_dump()))
    with pytest.raises(agent.errors.NoPart, match="cut off by the picture's edge"):
        theirs.find(cut, "a.png")


def test_what_sticks_out_of_the_window_is_not_let_through_unseen(alignment: Alignment) -> None:
    """A lump on its side had a third of its pixels inspected."""
    lump = lying(150, 118, 0)
    lump[130:160, 100:116] = 70
    with pytest.raises(InputError, match=r"a\.png shows a part that reaches \d+ pixels beyond"):
        Aligner(alignment).find(lump, "a.png")
    theirs = agent.alignment.Aligner(agent.alignment.Alignment(**alignment.model_dump()))
    with pytest.raises(agent.errors.NoPart, match=r"reaches \d+ pixels beyond what is inspected"):
        theirs.find(lump, "a.png")


@pytest.mark.parametrize("angle", range(0, 360, 40))
def test_a_part_that_is_a_little_larger_than_all_others_is_inspected(
    alignment: Alignment, angle: float
) -> None:
    larger = np.asarray(cv2.resize(lying(150, 112, angle), None, fx=1.05, fy=1.05), np.uint8)
    theirs = agent.alignment.Aligner(agent.alignment.Alignment(**alignment.model_dump()))
    for aligner in (Aligner(alignment), theirs):
        aligner.find(larger[: SIZE[0], : SIZE[1]], "a.png")


def test_a_lead_that_is_just_thick_enough_to_be_seen_refuses_no_good_part(
    alignment: Alignment,
) -> None:
    """In most pictures it is too thin, and the window that was chosen from them leaves it out."""
    lead = lying(150, 118, 0)
    lead[116:121, 66:92] = 70
    theirs = agent.alignment.Aligner(agent.alignment.Alignment(**alignment.model_dump()))
    for aligner in (Aligner(alignment), theirs):
        aligner.find(lead, "a.png")


def test_a_second_part_beside_is_not_let_through_unseen(alignment: Alignment) -> None:
    wide = (240, 640)
    pair = np.minimum(lying(150, 118, 20, size=wide), lying(470, 118, 200, size=wide))
    alone = alignment.model_copy(update={"area": (alignment.area[0] / 2, alignment.area[1])})
    Aligner(alone).find(lying(150, 118, 20, size=wide), "a.png")
    with pytest.raises(InputError, match=r"a\.png shows more than one part"):
        Aligner(alone).find(pair, "a.png")
    theirs = agent.alignment.Aligner(agent.alignment.Alignment(**alone.model_dump()))
    with pytest.raises(agent.errors.NoPart, match="more than one part"):
        theirs.find(pair, "a.png")


def test_two_parts_are_not_taken_for_one(alignment: Alignment) -> None:
    """Touching, they are one thing to the eye of the camera, and twice as large."""
    crowded = np.minimum(lying(120, 100, 0), lying(160, 140, 0))
    crowded = np.minimum(crowded, lying(200, 120, 90))
    with pytest.raises(InputError, match="shows no part"):
        Aligner(alignment).find(crowded, "a.png")


def test_training_and_agent_find_the_same(alignment: Alignment) -> None:
    ours = Aligner(alignment)
    theirs = agent.alignment.Aligner(agent.alignment.Alignment(**alignment.model_dump()))
    for image in anywhere(5, seed=9):
        mine, other = ours.find(image, "a"), theirs.find(image, "a")
        assert (mine.x, mine.y, mine.angle) == (other.x, other.y, other.angle)
        windows = ours.window(image, mine, (64, 160)), theirs.window(image, other, (64, 160))
        for ours_, theirs_ in zip(*windows, strict=True):
            np.testing.assert_array_equal(ours_, theirs_)


def test_a_damaged_picture_to_align_by_is_refused(alignment: Alignment) -> None:
    assert alignment.polar is not None
    for polar in ("", "AAAA", alignment.polar[:400]):
        with pytest.raises(ValueError, match="grey PNG"):
            Alignment(**{**alignment.model_dump(), "polar": polar})
        with pytest.raises(ValueError, match="grey PNG"):
            agent.alignment.Alignment(**{**alignment.model_dump(), "polar": polar})
