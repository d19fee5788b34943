"""Images are read whole or refused, and reach the model as the agent's frames do."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from agent import errors, imaging
from training.errors import InputError
from training.images import (
    list_images,
    read_image,
    read_mask,
    resize_image,
    some,
    subfolders,
    subfolders_with_images,
)


def picture(height: int, width: int, channels: int = 3) -> NDArray[np.uint8]:
    """A smooth colour picture: sharp noise would not survive a JPEG."""
    random = np.random.default_rng(height * width)
    noise = random.integers(0, 256, (height, width, channels), dtype=np.uint8)
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), 3), np.uint8)


def save(path: Path, image: NDArray) -> Path:
    assert cv2.imwrite(str(path), image)
    return path


def test_colour_order_is_that_of_opencv(tmp_path: Path) -> None:
    blue = np.zeros((4, 5, 3), np.uint8)
    blue[..., 0] = 200
    read = read_image(save(tmp_path / "blue.png", blue))
    assert read.shape == (4, 5, 3) and (read[..., 0] == 200).all() and not read[..., 1:].any()


def test_grey_becomes_three_equal_channels(tmp_path: Path) -> None:
    grey = picture(6, 7)[..., 0]
    read = read_image(save(tmp_path / "grey.png", grey))
    assert (read == grey[..., None]).all()


def test_sixteen_bits_stay_as_they_are(tmp_path: Path) -> None:
    deep = np.full((3, 3), 0x12FF, np.uint16)
    read = read_image(save(tmp_path / "deep.png", deep))
    assert read.dtype == np.uint16 and (read == 0x12FF).all()


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.bmp", "a.tif", "a.webp"])
def test_truncated_images_are_refused(name: str, kept: float, tmp_path: Path) -> None:
    """cv2.imread turns the missing part of a JPEG grey, and the model learns it as normal."""
    path = save(tmp_path / name, picture(60, 80))
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    with pytest.raises(InputError, match=name):
        read_image(path)


def test_a_thumbnails_end_is_not_the_images(tmp_path: Path) -> None:
    """Cameras put a small JPEG into the header of the large one; both end in FF D9."""
    path = save(tmp_path / "photo.jpg", picture(60, 80))
    photo = path.read_bytes()
    thumbnail = cv2.imencode(".jpg", picture(12, 16))[1].tobytes()
    segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    whole = photo[:2] + segment + photo[2:]
    path.write_bytes(whole)
    assert read_image(path).shape == (60, 80, 3)
    path.write_bytes(whole[:-100])
    with pytest.raises(InputError, match="cut short"):
        read_image(path)


@pytest.mark.parametrize("data", [b"", b"no image", b"\x89PNG"])
def test_files_that_are_no_images_are_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "odd.png"
    path.write_bytes(data)
    with pytest.raises(InputError, match="not an image that can be read"):
        read_image(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gone.png: No such file"):
        read_image(tmp_path / "gone.png")


def test_floating_point_images_are_refused(tmp_path: Path) -> None:
    """What its values mean nobody wrote down: 0 to 1, or 0 to 255?"""
    path = save(tmp_path / "float.tif", np.zeros((4, 4, 3), np.float32))
    with pytest.raises(InputError, match="float32"):
        read_image(path)


def test_a_mask_is_true_where_it_is_white(tmp_path: Path) -> None:
    grey = np.array([[0, 9, 127], [128, 240, 255]], np.uint8)
    mask = read_mask(save(tmp_path / "mask.png", grey), (2, 3))
    assert mask.tolist() == [[False, False, False], [True, True, True]]


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "mask.png", np.zeros((20, 30), np.uint8))
    with pytest.raises(InputError, match="is 30x20 pixels, its image 20x30"):
        read_mask(path, (30, 20))


@pytest.mark.parametrize(
    ("drawn", "found"),
    [
        (np.zeros((8, 8), np.uint8), "is of one colour"),
        (np.eye(8, dtype=np.uint8), "is drawn, but not in white"),  # as arrays hold it: 0 and 1
        (np.eye(8, dtype=np.uint16) * 255, "is drawn, but not in white"),
        (np.eye(8, dtype=np.uint8)[..., None] * np.uint8((0, 0, 255)), "is drawn"),  # red
        (np.eye(8, dtype=np.uint8)[..., None] * np.uint8((0, 0, 0, 255)), "is drawn"),  # alpha
    ],
    ids=["black", "0 and 1", "16 bits", "red", "alpha"],
)
def test_a_mask_that_marks_nothing_is_refused(drawn: NDArray, found: str, tmp_path: Path) -> None:
    """Silently nothing was ignored, or every defect that was found counted as a false alarm."""
    path = save(tmp_path / "mask.png", drawn)
    with pytest.raises(InputError, match=f"mask.png marks nothing: it {found}"):
        read_mask(path, (8, 8))


def test_a_mask_of_classes_marks_from_its_level_on(tmp_path: Path) -> None:
    mask = read_mask(save(tmp_path / "mask.png", np.eye(8, dtype=np.uint8)), None, level=1)
    assert np.array_equal(mask, np.eye(8) == 1)


def test_hidden_images_and_systems_folders_do_not_count(tmp_path: Path) -> None:
    """What was thrown away on a share was trained on; a thumbnails' folder was a kind of defect."""
    for name in ("a.png", "._a.png", "@eaDir/a.png", ".Trash-0/b.png", "$RECYCLE.BIN/c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert list_images(tmp_path) == [tmp_path / "a.png"]
    assert subfolders(tmp_path) == []


def test_subfolders_with_images_are_found_on_every_level_and_behind_links(tmp_path: Path) -> None:
    for name in ("parts/monday/early/a.png", "parts/empty/notes.txt", "elsewhere/b.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    parts = tmp_path / "parts"
    (parts / "tuesday").symlink_to(tmp_path / "elsewhere")
    assert subfolders_with_images(parts) == [parts / "monday", parts / "tuesday"]


@pytest.mark.parametrize("name", ["a.png", "tuesday"])
def test_a_link_to_nothing_is_refused(name: str, tmp_path: Path) -> None:
    """A share that is not mounted, whose images were left out without a word."""
    (tmp_path / name).symlink_to(tmp_path / "gone")
    with pytest.raises(InputError, match=f"{name} is a link to nothing"):
        (list_images if name.endswith("png") else subfolders)(tmp_path)


@pytest.mark.parametrize("broken", ["\n", "\u2028", "\x0c"])
def test_a_name_of_two_lines_is_refused(broken: str, tmp_path: Path) -> None:
    """In calibration.txt it is two files, neither of which is there."""
    (tmp_path / f"a{broken}b.png").touch()
    with pytest.raises(InputError, match="has a line break in it: rename it"):
        list_images(tmp_path)


def test_a_folder_whose_path_is_no_utf_8_is_refused_from_within(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """calibration.txt names whole paths, and is written after all images are read."""
    folder = tmp_path / os.fsdecode(b"Pr\xfcf")
    (folder / "parts").mkdir(parents=True)
    (folder / "parts" / "a.png").touch()
    monkeypatch.chdir(folder)
    with pytest.raises(InputError, match="is not UTF-8"):
        list_images(Path("parts"))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((90, 120), (64, 64)),  # shrinks
        ((20, 30), (64, 64)),  # grows
        ((20, 200), (64, 64)),  # grows and shrinks
        ((64, 64), (64, 64)),  # stays
        ((250, 100), (48, 80)),  # to another shape
        ((611, 1023), (64, 64)),  # is halved more than once, with sides that are odd
    ],
)
def test_frames_are_those_of_the_agent(before: tuple[int, int], after: tuple[int, int]) -> None:
    """A model that trained on one resampling and runs on another sees another texture."""
    image = picture(*before)
    assert np.array_equal(resize_image(image, after), imaging.resize(image, after))


@pytest.mark.parametrize(
    ("name", "kind"),
    [(f"a.{suffix}", kind) for suffix in ("png", "jpg", "tif") for kind in ("colour", "grey")]
    + [("a.png", "deep"), ("a.tif", "deep")],
)
def test_files_are_read_as_the_agent_reads_them(name: str, kind: str, tmp_path: Path) -> None:
    image = picture(30, 40) if kind == "colour" else picture(30, 40)[..., 0]
    path = save(tmp_path / name, image.astype(np.uint16) * 257 if kind == "deep" else image)
    assert np.array_equal(read_image(path), imaging.read_image(path))


def test_files_that_the_agent_refuses_are_refused(tmp_path: Path) -> None:
    """Trained on and then refused by calibration, they were found out hours late."""
    image = picture(60, 80)
    see_through = save(tmp_path / "a.png", np.dstack([image, image[..., :1] // 2]))
    stack = tmp_path / "a.tif"
    assert cv2.imwritemulti(str(stack), [image, image])
    for path in (see_through, stack):
        with pytest.raises(errors.InputError) as refused:
            imaging.read_image(path)
        with pytest.raises(InputError) as also:
            read_image(path)
        assert str(also.value) == str(refused.value)


def test_a_sample_of_tiles_shows_every_corner() -> None:
    """Every fifth of 1,000 tiles, four to an image, is not: the symmetry of one corner was judged
    for all of the part."""
    corner = np.tile(np.arange(4, dtype=np.uint8), 250)
    for count in (50, 100, 200, 250):
        drawn = some(corner, count)
        assert len(drawn) == count
        assert np.bincount(drawn, minlength=4).min() >= count / 8
    assert np.array_equal(some(corner[:7], 200), corner[:7])
