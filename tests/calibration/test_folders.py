"""A folder of good parts gives no picture of which its own names say something else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from agent.errors import InputError
from calibration.folders import list_good_images
from calibration.sources import open_source


def make_images(folder: Path, names: Sequence[str]) -> Path:
    """Files that are named as images; none is opened."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


@pytest.mark.parametrize(
    ("names", "message"),
    [
        pytest.param(["good/a.png", "crack/b.png"], "parts has crack beside good,", id="kinds"),
        pytest.param(["Good/a.png", "Crack/b.png"], "parts has Crack beside Good,", id="capitals"),
        pytest.param(["ok/a.png", "rest/b.png"], "give .*parts/ok, or a list", id="OK"),
        pytest.param(["good/a.png", "b.png"], "parts has b.png beside good,", id="loose"),
        pytest.param(
            ["2024/good/a.png", "2024/dent/b.png"], "parts/2024 has dent beside good", id="deeper"
        ),
        pytest.param(["good/a.png", "kinds/dent/b.png"], "has kinds beside good", id="deeper kind"),
        pytest.param(["a.png", "Bad/b.png"], "parts/Bad is named as a folder of bad", id="bad"),
        pytest.param(["OK/a.png", "NOK/b.png"], "parts/NOK is named", id="NOK"),
        pytest.param(["a.png", "lot 7/n.i.O./b.png"], "n.i.O. is named", id="n.i.O."),
        pytest.param(["a.png", "not_ok/b.png"], "not_ok is named", id="not ok"),
        pytest.param(["a.png", "BadParts_2/b.png"], "BadParts_2 is named", id="in a word"),
        pytest.param(
            ["train/good/a.png", "test/dent/b.png"], r"a whole data set \(it has test", id="root"
        ),
        pytest.param(["Train/a.png", "Test/b.png"], r"data set \(it has Test, Train", id="Root"),
        pytest.param(
            ["tile/test/good/a.png", "tile/ground_truth/dent/b_mask.png"],
            r"it has tile/ground_truth, tile/test\)",
            id="root of several",
        ),
        pytest.param(["train/good/a.png"], "a whole data set", id="root with nothing else"),
        pytest.param(
            ["home/tile/train/good/a.png", "home/tile/test/dent/b.png"],
            r"a whole data set \(it has home/tile/test, home/tile/train\)",
            id="root copied with its path",
        ),
        pytest.param(
            ["home/tile/train/good/a.png", "home/tile/train/good/NOK/b.png"],
            "good/NOK is named",
            id="bad within a copy",
        ),
        pytest.param(
            ["home/tile/train/good/a.png", "home/tile/train/crack/b.png"],
            "a whole data set",
            id="kinds within a copy",
        ),
    ],
)
def test_what_its_names_call_no_good_part_is_refused(
    tmp_path: Path, names: list[str], message: str
) -> None:
    """They counted as normal parts, and lifted the limit to their own scores."""
    folder = make_images(tmp_path / "parts", names)
    with pytest.raises(InputError, match=message):
        list_good_images(folder)


@pytest.mark.parametrize("at", [".", "home/rejects 2/tile/train/good"], ids=["copy", "part"])
def test_pictures_that_training_set_aside_may_be_copied_with_their_path(
    tmp_path: Path, at: str
) -> None:
    """The README's `cp --parents` of what calibration.txt names: a whole data set, it was told."""
    names = [f"home/rejects 2/tile/train/good/{part}/1.png" for part in "ab"]
    folder = make_images(tmp_path / "usb", names)
    assert list_good_images(folder / at) == [folder / name for name in names]


def test_a_folder_of_bad_parts_is_refused_though_what_is_copied_into_it_was_good(
    tmp_path: Path,
) -> None:
    folder = make_images(tmp_path / "NOK", ["home/tile/train/good/a.png"])
    with pytest.raises(InputError, match="NOK is named as a folder of bad parts"):
        list_good_images(folder)


def test_a_folder_that_is_itself_one_of_bad_parts_is_refused(tmp_path: Path) -> None:
    folder = make_images(tmp_path / "NOK", ["a.png"])
    with pytest.raises(InputError, match="NOK is named as a folder of bad parts"):
        list_good_images(folder)


def test_nor_is_it_taken_under_another_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who stands in it says `.`."""
    monkeypatch.chdir(make_images(tmp_path / "NOK", ["a.png"]))
    with pytest.raises(InputError, match="is named as a folder of bad parts"):
        list_good_images(Path())


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(["good/a.png"], id="good alone"),
        pytest.param(["mon/good/a.png", "tue/good/a.png"], id="good of every day"),
        pytest.param(["good/a.png", "OK/b.png"], id="two names of good"),
        pytest.param(["a.png", "lamp 2/b.png", "Badge/c.png"], id="other names"),
        pytest.param(["good/a.png", "notes/b.txt"], id="no pictures beside"),
        pytest.param(["1-0000000007-REJECT.png"], id="a reject of the station"),
    ],
)
def test_what_its_names_say_nothing_against_is_taken(tmp_path: Path, names: list[str]) -> None:
    folder = make_images(tmp_path / "parts", names)
    pictures = [folder / name for name in names if name.endswith(".png")]
    assert list_good_images(folder) == sorted(pictures)


def test_a_folder_as_a_camera_is_looked_at_as_well(tmp_path: Path) -> None:
    folder = make_images(tmp_path / "parts", ["a.png", "bad/b.png"])
    with pytest.raises(InputError, match="bad is named"), open_source(f"folder://{folder}", 10):
        pass
