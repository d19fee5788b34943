"""What training chose to see of an image is what the station sees of it, by way of the bundle."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

import training.view
from agent.bundle import open_bundle
from agent.view import View
from deploy.view import view_fields, view_members
from tests.posed import anywhere
from tests.tiny import write_tiny_bundle
from training.commands import train
from training.dataset import load_images
from training.errors import InputError
from training.images import read_image
from training.losses import SQUARE, SQUARES
from training.run import Run, load_run

pytestmark = pytest.mark.usefixtures("no_second_process")
SIZE = (64, 64)


def write_parts(folder: Path) -> Path:
    """Twelve tall parts from a camera of 12 bits, under a label of its own each."""
    folder.mkdir()
    random = np.random.default_rng(0)
    for index in range(12):
        grain = cv2.GaussianBlur(random.normal(2000, 400, (200, 80)), (1, 15), 0)
        grain[:30] = random.integers(0, 4096, (30, 80))
        cv2.imwrite(str(folder / f"{index}.png"), grain.clip(0, 4095).astype(np.uint16))
    return folder


def write_mask(path: Path, rows: slice) -> Path:
    mask = np.zeros((200, 80), np.uint8)
    mask[rows] = 255
    cv2.imwrite(str(path), mask)
    return path


def order(parts: Path, out: Path, *more: str) -> list[str]:
    fixed = ["--preset", "edge-s", "--size", "64", "--steps", "2", "--device", "cpu"]
    return [str(parts), "--out", str(out), *fixed, *more]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("view")
    mask = write_mask(folder / "label.png", np.s_[:35])
    parts = write_parts(folder / "parts")
    more = ["--roi", "5,10,70,180", "--ignore-mask", str(mask), "--overlap", "25%"]
    result = CliRunner().invoke(train, order(parts, folder / "run", *more), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "70x180 pixels in 3x1 tiles" in result.output and "12 bits" in result.output
    return load_run(folder / "run")


def test_training_saw_tiles(run: Run) -> None:
    counts = run.settings.training
    assert counts["tiles"]["train"] == 3 * counts["normals"]["train"]
    frames = np.load(run.folder / "frames.npz")["frames"]
    assert frames.shape[1:] == (*SIZE, 3)


def test_the_station_sees_what_training_saw(run: Run, tmp_path: Path) -> None:
    path = write_tiny_bundle(
        tmp_path / "tiny.nlb", SIZE, view=view_fields(run), members=view_members(run)
    )
    view = View.of(open_bundle(path))
    assert (view.score_square, view.score_pixels, view.grey) == (SQUARE, SQUARES, True)
    height, width = read_image(next((run.folder.parent / "parts").iterdir())).shape[:2]
    assert view.trained_size == (height, width) and not view.coloured
    for image in sorted((run.folder.parent / "parts").iterdir()):
        trained_on = load_images([image], run.view).canvases
        assert (trained_on[0] == training.view.PAINT).any()
        np.testing.assert_array_equal(view.canvas(read_image(image)), trained_on[0])
        tiles = [trained_on[0, y : y + 64, x : x + 64] for y, x in view.places]
        np.testing.assert_array_equal(run.view.cut(trained_on), tiles)


def test_the_station_follows_the_part_that_training_followed(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    for index, picture in enumerate(anywhere(12)):
        cv2.imwrite(str(tmp_path / "parts" / f"{index}.png"), picture)
    words = order(tmp_path / "parts", tmp_path / "run")
    result = CliRunner().invoke(train, words, catch_exceptions=False)
    assert result.exit_code == 0 and "the part is followed" in result.output, result.output
    followed = load_run(tmp_path / "run")
    path = write_tiny_bundle(tmp_path / "tiny.nlb", SIZE, view=view_fields(followed))
    view = View.of(open_bundle(path))
    for image in sorted((tmp_path / "parts").iterdir()):
        (trained_on,) = load_images([image], followed.view).canvases
        np.testing.assert_array_equal(view.canvas(read_image(image)), trained_on)


def test_a_run_goes_on_with_its_own_view_only(run: Run) -> None:
    parts = run.folder.parent / "parts"
    with pytest.raises(InputError, match="cannot be resumed: its images are seen otherwise"):
        again = order(parts, run.folder, "--resume", "--tiles", "1x1")
        CliRunner().invoke(train, again, catch_exceptions=False)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--roi", "0,0,90,20"), r"the region of interest \(90x20 at 0,0\) leaves .*\.png"),
        (("--tiles", "many"), "--tiles many"),
        (("--window", "9:3"), "LOW must be below HIGH"),
        (("--ignore-mask", "gone.png"), "cannot read the ignore mask gone.png"),
    ],
)
def test_a_wish_that_does_not_fit_is_refused(
    run: Run, tmp_path: Path, more: tuple[str, ...], message: str
) -> None:
    parts = run.folder.parent / "parts"
    with pytest.raises(InputError, match=message):
        CliRunner().invoke(train, order(parts, tmp_path / "run", *more), catch_exceptions=False)


def test_an_image_of_another_depth_is_named(tmp_path: Path) -> None:
    parts = write_parts(tmp_path / "parts")
    grey = cv2.imread(str(parts / "3.png"), cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(str(parts / "3.png"), grey)
    with pytest.raises(InputError, match=r"3\.png has 8 bits a channel, expected 16"):
        CliRunner().invoke(train, order(parts, tmp_path / "run"), catch_exceptions=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("shape", "message"),
    [((200, 80, 3), "holds float32 pixels"), ((200, 80), "is not an image that can be read")],
)
def test_an_image_of_numbers_that_are_none_is_refused(
    tmp_path: Path, shape: tuple[int, ...], message: str
) -> None:
    parts = write_parts(tmp_path / "parts")
    cv2.imwrite(str(parts / "4.tif"), np.full(shape, np.nan, np.float32))
    with pytest.raises(InputError, match=rf"4\.tif {message}"):
        CliRunner().invoke(train, order(parts, tmp_path / "run"), catch_exceptions=False)
