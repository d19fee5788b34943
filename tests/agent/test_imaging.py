"""Images from files and cameras become the frame that the graph takes, or are refused."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.errors import InputError
from agent.imaging import (
    check_image,
    covered,
    decode_mask,
    list_images,
    read_image,
    resize,
    to_bgr8,
)


@pytest.fixture
def picture() -> np.ndarray:
    """uint8 [90, 120, 3]: noise, so that a compressed file has bytes to lose everywhere."""
    return np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)


def write(path: Path, image: np.ndarray) -> Path:
    assert cv2.imwrite(str(path), image)
    return path


def test_a_lossless_image_is_read_as_it_was_written(tmp_path: Path, picture: np.ndarray) -> None:
    np.testing.assert_array_equal(read_image(write(tmp_path / "a.png", picture)), picture)


def test_a_16_bit_image_keeps_its_bits(tmp_path: Path, picture: np.ndarray) -> None:
    deep = picture.astype(np.uint16) * 16
    read = read_image(write(tmp_path / "a.png", deep))
    assert read.dtype == np.uint16
    np.testing.assert_array_equal(read, deep)


def test_a_grey_image_gets_three_equal_channels(tmp_path: Path, picture: np.ndarray) -> None:
    image = read_image(write(tmp_path / "a.bmp", picture[:, :, 0]))
    np.testing.assert_array_equal(image, np.repeat(picture[:, :, :1], 3, axis=2))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".tif", ".webp"])
@pytest.mark.parametrize("kept", [0.02, 0.5, 0.9, 0.99])
def test_a_truncated_image_is_refused(
    tmp_path: Path, picture: np.ndarray, suffix: str, kept: float, capfd: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / f"a{suffix}", picture)
    read_image(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(InputError, match=path.name):
        read_image(path)
    assert "OpenCV" not in capfd.readouterr().err


def test_the_end_of_an_embedded_thumbnail_is_not_the_end_of_a_jpeg(
    tmp_path: Path, picture: np.ndarray
) -> None:
    data = write(tmp_path / "a.jpg", picture).read_bytes()
    thumbnail = b"Exif\0\0" + data
    segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    whole = data[:2] + segment + data[2:]
    (tmp_path / "whole.jpg").write_bytes(whole)
    assert read_image(tmp_path / "whole.jpg").shape == (90, 120, 3)
    (tmp_path / "cut.jpg").write_bytes(whole[:-100])
    with pytest.raises(InputError, match="cut short"):
        read_image(tmp_path / "cut.jpg")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        (b"", "not an image"),
        (b"this is text", "not an image"),
    ],
)
def test_what_is_no_image_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "a.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_image(path)


def test_a_floating_point_image_is_refused(tmp_path: Path, picture: np.ndarray) -> None:
    path = write(tmp_path / "a.tiff", picture.astype(np.float32))
    with pytest.raises(InputError, match="float32"):
        read_image(path)


def test_images_are_listed_sorted_from_every_level(tmp_path: Path) -> None:
    names = ["b/2.PNG", "b/1.jpeg", "a.Tif", "c/d/e.webp"]
    for name in [*names, "notes.txt", "b/mask.npy"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert list_images(tmp_path) == sorted(tmp_path / name for name in names)


def test_hidden_images_and_systems_folders_do_not_count(tmp_path: Path) -> None:
    """What a person had thrown away on a share was calibrated on, and thumbnails were parts."""
    names = ["._a.png", ".Trash-1000/files/bad.png", "lot/$RECYCLE.BIN/bad.png", "#recycle/bad.png"]
    for name in [*names, "@eaDir/a.png/SYNOPHOTO_THUMB_M.jpg", "@7.png"]:
        (tmp_path / ".lot" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / ".lot" / name).touch()
    assert list_images(tmp_path / ".lot") == [tmp_path / ".lot" / "@7.png"]


@pytest.mark.parametrize("there", [False, True], ids=["to nothing", "to a folder"])
def test_a_link_whose_images_would_be_left_out_is_refused(tmp_path: Path, there: bool) -> None:
    (tmp_path / "lot").mkdir()
    (tmp_path / "lot" / "a.png").touch()
    (tmp_path / "lot" / "b.png").symlink_to("a.png")
    assert len(list_images(tmp_path / "lot")) == 2
    if there:
        (tmp_path / "elsewhere").mkdir()
    (tmp_path / "lot" / "tuesday").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="tuesday is a link to a folder or to nothing"):
        list_images(tmp_path / "lot")


@pytest.mark.parametrize("make", [False, True], ids=["missing", "without images"])
def test_a_folder_without_images_is_refused(tmp_path: Path, make: bool) -> None:
    folder = tmp_path / "good"
    if make:
        folder.mkdir()
    with pytest.raises(InputError, match="good"):
        list_images(folder)


def test_a_file_whose_name_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"Pr\xfcf.png")
    path.write_bytes(b"")
    with pytest.raises(InputError, match=r"Pr\\udcfcf\.png' is not UTF-8"):
        list_images(tmp_path)


def test_shrinking_averages_and_enlarging_interpolates(picture: np.ndarray) -> None:
    shrunk = resize(picture, (45, 60))
    means = picture.reshape(45, 2, 60, 2, 3).mean(axis=(1, 3))
    assert np.abs(shrunk - means).max() <= 0.5
    enlarged = resize(picture[:2, :2], (8, 8))
    assert len(np.unique(enlarged[:, :, 0])) > 4


def test_a_large_picture_is_averaged_over_areas_and_keeps_its_place() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (512, 1024, 3), np.uint8)
    areas = noise.reshape(64, 8, 64, 16, 3).mean((1, 3))
    # Rounded at each halving.
    assert np.abs(resize(noise, (64, 64)) - areas).max() < 2
    # A size that halves with a rest.
    y, x = np.mgrid[:1023, :771]
    spot = 255 * np.exp(-((y - 511) ** 2 + (x - 385) ** 2) / 2 / 60**2)
    small = resize(np.repeat(spot[..., None].astype(np.uint8), 3, 2), (100, 75))[..., 0].astype(
        float
    )
    height, width = covered((1023, 771), (100, 75))
    assert (1023, 771) < (height, width) < (1023 + 8, 771 + 8)
    rows, columns = np.mgrid[:100, :75] + 0.5
    assert (small * rows).sum() / small.sum() * height / 100 == pytest.approx(511.5, abs=0.5)
    assert (small * columns).sum() / small.sum() * width / 75 == pytest.approx(385.5, abs=0.5)


@pytest.mark.parametrize("side", [50, 61, 81, 97, 100, 111, 127, 128, 129, 243, 999])
def test_every_pixel_of_the_camera_counts_alike(side: int) -> None:
    """A scratch two pixels wide once reached the model as 2 levels or as 98, by its column."""
    columns = np.repeat(np.eye(side, dtype=np.uint8)[:, None, :, None] * 240, 3, 3)
    shown = np.array([resize(column, (1, 32))[0, :, 0].sum(dtype=float) for column in columns])
    due = 240 * 32 / covered((1, side), (1, 32))[1]
    # Rounded to whole levels at each halving; the last columns of an odd side show twice.
    assert np.abs(shown[: side - 1 - side // 32] - due).max() < 0.02 * due + 1.5


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1), (4, 5, 3)], ids=["grey", "axis", "BGR"])
def test_grey_and_colour_become_bgr(shape: tuple[int, ...]) -> None:
    np.testing.assert_array_equal(
        to_bgr8(np.full(shape, 7, np.uint8), None, "it"), np.full((4, 5, 3), 7)
    )


@pytest.mark.parametrize(
    ("level", "window", "becomes"),
    [
        (0, (0, 4095), 0),
        (4095, (0, 4095), 255),
        (2048, (0, 4095), 128),  # 12 bits: the upper eight of 16 would be 8
        (65535, (0, 4095), 255),  # cut off, not wrapped around
        (65535, (0, 65535), 255),
        (257, (0, 65535), 1),
        (99, (100, 200), 0),
        (150, (100, 200), 128),
    ],
)
def test_a_window_spreads_the_levels_of_16_bits(
    level: int, window: tuple[int, int], becomes: int
) -> None:
    image = np.full((3, 4), level, np.uint16)
    assert (to_bgr8(image, window, "it") == becomes).all()


@pytest.mark.parametrize("levels", [(1, 1), (0, 1), (0, 255)])
def test_no_image_is_stretched_by_what_it_holds(levels: tuple[int, int]) -> None:
    """Deciding from the largest value whether to divide by 255 turns a near-black frame white."""
    image = np.array([levels], np.uint8)
    np.testing.assert_array_equal(to_bgr8(image, None, "it")[0, :, 0], levels)
    deep = np.array([levels], np.uint16)
    assert to_bgr8(deep, (0, 65535), "it").max() <= 1


@pytest.mark.parametrize(
    ("dtype", "window", "message"),
    [(np.uint16, None, "it has 16 bits"), (np.uint8, (0, 4095), "it has 8 bits")],
)
def test_another_depth_than_in_training_is_refused(
    dtype: type, window: tuple[int, int] | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        to_bgr8(np.ones((3, 4), dtype), window, "it")


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8, 3), np.float32),
        np.full((8, 8, 3), np.nan),
        np.zeros((8,), np.uint8),
        np.zeros((0, 8, 3), np.uint8),
    ],
    ids=["alpha", "float", "NaN", "row", "empty"],
)
def test_an_array_that_is_no_image_is_refused(image: np.ndarray) -> None:
    with pytest.raises(InputError, match="expected 8 or 16 bits"):
        check_image(image, "it")


def test_a_mask_is_what_is_rather_white() -> None:
    """Its black is seldom quite black where a program has smoothed its edges."""
    levels = np.array([[0, 1, 127, 128, 255]], np.uint8)
    mask = decode_mask(cv2.imencode(".png", levels)[1].tobytes(), "it")
    assert mask.tolist() == [[False, False, False, True, True]]


def test_a_picture_that_says_how_it_was_held_is_turned(tmp_path: Path, picture: np.ndarray) -> None:
    data = write(tmp_path / "a.jpg", picture).read_bytes()
    orientation = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    exif = b"Exif\0\0" + orientation
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    (tmp_path / "b.jpg").write_bytes(data[:2] + segment + data[2:])
    upright = read_image(tmp_path / "a.jpg")
    np.testing.assert_array_equal(read_image(tmp_path / "b.jpg"), np.rot90(upright, -1))
