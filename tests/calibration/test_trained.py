"""The images that a model was trained on set no limit for it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from agent.bundle import Bundle, open_bundle
from agent.errors import InputError
from calibration.trained import check_unseen
from tests.calibration.command import calibrate
from tests.tiny import write_tiny_bundle
from training.dataset import data_digest, read_dataset


@pytest.fixture(scope="module")
def trained(normals: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A model that says of itself that it was trained on the normals."""
    digest = data_digest(read_dataset(normals).train_good)
    path = tmp_path_factory.mktemp("trained") / "trained.nlb"
    return open_bundle(write_tiny_bundle(path, view={"training_data_digest": digest}))


def names_in(folder: Path) -> list[str]:
    return sorted(map(str, folder.rglob("*.png")))


def test_they_are_refused_wherever_they_lie_and_in_whatever_order(
    trained: Bundle, normals: Path, tmp_path: Path
) -> None:
    copied = shutil.copytree(normals, tmp_path / "copied")
    for names in (names_in(normals), names_in(copied)[::-1]):
        with pytest.raises(InputError, match="here holds the very images that .*trained.nlb was"):
            check_unseen("here", names, trained)


def test_others_beside_them_do_not_hide_them(
    trained: Bundle, normals: Path, tmp_path: Path
) -> None:
    """Training takes what lies in the folder itself, calibration its subfolders too."""
    folder = shutil.copytree(normals, tmp_path / "parts")
    (folder / "monday").mkdir()
    shutil.copy(folder / "00.png", folder / "monday" / "99.png")
    with pytest.raises(InputError, match="very images"):
        check_unseen("here", names_in(folder), trained)


def test_sorted_into_folders_they_are_refused(
    trained: Bundle, normals: Path, tmp_path: Path
) -> None:
    """By a person, after the training; or others beside them in a folder of the same name."""
    for index, path in enumerate(sorted(normals.glob("*.png"))):
        for folder in (f"sorted/{index % 2}", "days/monday/good"):
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, tmp_path / folder)
    (tmp_path / "days/tuesday/good").mkdir(parents=True)
    shutil.copy(path, tmp_path / "days/tuesday/good/99.png")
    for folder in ("sorted", "days"):
        with pytest.raises(InputError, match="very images"):
            check_unseen("here", names_in(tmp_path / folder), trained)


def test_those_that_training_set_aside_are_taken(trained: Bundle, normals: Path) -> None:
    check_unseen("here", names_in(normals)[::7], trained)


def test_an_image_that_is_not_there_is_named(trained: Bundle, tmp_path: Path) -> None:
    gone = tmp_path / "gone.png"
    with pytest.raises(InputError, match=f"cannot read the image {gone}"):
        check_unseen("here", [str(gone)], trained)


@pytest.mark.parametrize("how", ["alone", "fold"])
def test_calibrate_takes_no_image_that_its_model_was_trained_on(
    bundle: Path,
    trained: Bundle,
    normals: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    """The limit was too low, and the rate that was promised with it was none."""
    monkeypatch.setattr("calibration.session.load_engine", None)
    what = {"alone": [trained.path, normals], "fold": [bundle, "--fold", trained.path, normals]}
    out = tmp_path / "c.json"
    assert calibrate(*what[how], "--false-reject-rate", "10%", "--out", out) == 2
    error = capsys.readouterr().err
    assert f"{normals} holds the very images" in error and "RUN/calibration.txt" in error
    assert not out.exists()
