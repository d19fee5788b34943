"""Folders become data sets, or one line that says what is wrong with them."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from training.dataset import (
    check_masks,
    data_digest,
    load_images,
    load_labelled_images,
    read_dataset,
    without_copies,
)
from training.errors import InputError, NoPart
from training.images import read_image, resize_image
from training.view import View, ViewSettings


def save(path: Path, grey: int = 90, size: tuple[int, int] = (12, 10)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full((*size, 3), grey, np.uint8)
    image[: size[0] // 2] = 255 - grey
    assert cv2.imwrite(str(path), image)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An MVTec-AD folder: ten good parts, then one good and three defective test images."""
    root = tmp_path / "tile"
    for index in range(10):
        save(root / "train" / "good" / f"{index:03}.png", 60 + index)
    save(root / "test" / "good" / "000.png")
    for kind, name in (("crack", "000"), ("crack", "001"), ("blowhole", "000")):
        save(root / "test" / kind / f"{name}.png")
        save(root / "ground_truth" / kind / f"{name}_mask.png", 0)
    return root


def test_an_mvtec_folder(root: Path) -> None:
    (root / "train" / "good" / "notes.txt").write_text("not an image")
    dataset = read_dataset(root)
    assert [path.name for path in dataset.train_good] == [f"{i:03}.png" for i in range(10)]
    assert [(item.kind, item.path.name, item.defective) for item in dataset.test] == [
        ("blowhole", "000.png", True),
        ("crack", "000.png", True),
        ("crack", "001.png", True),
        ("good", "000.png", False),
    ]
    masks = [item.mask_path for item in dataset.test]
    assert masks[2] == root / "ground_truth" / "crack" / "001_mask.png" and masks[3] is None


def test_a_plain_folder_of_good_images(root: Path) -> None:
    dataset = read_dataset(root / "train" / "good")
    assert len(dataset.train_good) == 10 and dataset.test == []


def test_a_data_set_without_ground_truth_still_has_labels(root: Path) -> None:
    shutil.rmtree(root / "ground_truth")
    assert [item.mask_path for item in read_dataset(root).test] == [None] * 4


def test_defects_below_a_plain_folder_are_not_taken_for_good_parts(root: Path) -> None:
    """Searching every folder below would train on test/crack."""
    shutil.rmtree(root / "train")
    with pytest.raises(InputError, match="no train/good nor images"):
        read_dataset(root)


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gone is not a folder"):
        read_dataset(tmp_path / "gone")


@pytest.mark.parametrize(
    ("folder", "count", "message"),
    [
        ("", 0, "holds no train/good nor images"),
        ("train/good", 0, "good holds no images"),
        ("", 7, "holds 7 images of good parts: training needs at least 8"),
        ("train/good", 1, "holds 1 images of good parts"),
    ],
)
def test_too_few_images(folder: str, count: int, message: str, tmp_path: Path) -> None:
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    for index in range(count):
        save(tmp_path / folder / f"{index}.png")
    with pytest.raises(InputError, match=message):
        read_dataset(tmp_path)


def test_one_forgotten_mask_is_named(root: Path) -> None:
    """Taken for a good image, it would count every found defect as a false alarm."""
    (root / "ground_truth" / "crack" / "001_mask.png").unlink()
    with pytest.raises(InputError, match=r"crack/001.png .* no mask: expected .*001_mask.png"):
        read_dataset(root)


def test_test_images_load_with_their_masks(root: Path) -> None:
    items = read_dataset(root).test
    shown, images, masks = load_labelled_images(items, View((6, 8)), NoPart, print)
    assert shown == items
    assert images.shape == (4, 6, 8, 3) and images.dtype == np.uint8
    assert masks.shape == (4, 6, 8) and masks.dtype == np.bool_
    assert masks[:3, :3].all() and not masks[:3, 3:].any() and not masks[3].any()


def test_masks_of_0_and_1_are_refused(root: Path) -> None:
    """Every defect that was found counted as a false alarm, and the figures did not tell."""
    path = root / "ground_truth" / "crack" / "001_mask.png"
    cv2.imwrite(str(path), np.eye(12, 10, dtype=np.uint8))
    items = read_dataset(root).test
    for refuse in (
        lambda: check_masks(items),
        lambda: load_labelled_images(items, View((8, 8)), NoPart, print),
    ):
        with pytest.raises(InputError, match="001_mask.png marks nothing: it is drawn"):
            refuse()
    check_masks(replace(item, mask_level=1) for item in items)


def test_what_a_system_keeps_beside_the_kinds_of_defects_is_none(root: Path) -> None:
    shutil.rmtree(root / "ground_truth")
    save(root / "test" / ".ipynb_checkpoints" / "000-checkpoint.png")
    assert {item.kind for item in read_dataset(root).test} == {"blowhole", "crack", "good"}


def test_a_mask_of_another_size_is_refused(root: Path) -> None:
    save(root / "ground_truth" / "crack" / "000_mask.png", 0, size=(10, 12))
    with pytest.raises(InputError, match="000_mask.png is 12x10 pixels, its image 10x12"):
        load_labelled_images(read_dataset(root).test, View((8, 8)), NoPart, print)


def test_images_load_in_order(tmp_path: Path) -> None:
    paths = [save(tmp_path / f"{side}.png", 90, (side, 40)) for side in (32, 40, 64)]
    loaded = load_images(paths, View((32, 32)))
    images = loaded.canvases
    assert loaded.size is None
    assert images.shape == (3, 32, 32, 3) and images.dtype == np.uint8
    for path, image in zip(paths, images, strict=True):
        assert np.array_equal(image, resize_image(read_image(path), (32, 32)))


def test_an_image_of_one_colour_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "capped.png"
    cv2.imwrite(str(path), np.full((9, 9, 3), (3, 40, 7), np.uint8))
    with pytest.raises(InputError, match="capped.png is of one colour"):
        load_images([path], View((8, 8)))


def test_an_image_with_nothing_to_see_beside_the_mask_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "capped.png"
    image = np.full((40, 40, 3), 7, np.uint8)
    image[:10] = np.random.default_rng(0).integers(0, 256, (10, 40, 3))
    cv2.imwrite(str(path), image)
    ignored = np.zeros((40, 40), np.bool_)
    ignored[:10] = True
    view = View((30, 30), ViewSettings(image_size=(40, 40)), ignored)
    assert load_images([path], View((30, 30))).canvases.any()
    with pytest.raises(InputError, match="capped.png is of one colour"):
        load_images([path], view)


def test_one_image_of_another_size_is_named(tmp_path: Path) -> None:
    """A picture of something else among two hundred parts."""
    paths = [save(tmp_path / f"{index}.png", 60 + index) for index in range(19)]
    assert load_images(paths, View((8, 8))).size == (12, 10)
    paths.append(save(tmp_path / "holiday.png", size=(60, 80)))
    with pytest.raises(InputError, match="holiday.png is 80x60 pixels, 19 of 20 images are 10x12"):
        load_images(paths, View((8, 8)))


def test_sizes_that_vary_are_taken(tmp_path: Path) -> None:
    paths = [save(tmp_path / f"{side}.png", 90, (side, 40)) for side in range(20, 40)]
    assert load_images(paths, View((8, 8))).size is None


def test_several_pictures_of_a_part_lie_in_a_folder_of_its_own(root: Path) -> None:
    good = root / "train" / "good"
    for index in range(10):
        (good / f"part{index}").mkdir()
        (good / f"{index:03}.png").rename(good / f"part{index}" / "front.png")
        save(good / f"part{index}" / "back.png", 30 + index)
    dataset = read_dataset(root)
    assert len(dataset.train_good) == 20
    before = data_digest(dataset.train_good)
    # Of one name all of them: the digest still does not follow the folders.
    for index in range(10):
        (good / f"part{index}").rename(good / f"{9 - index}th")
    assert data_digest(read_dataset(root).train_good) == before


def test_too_few_parts_are_refused_however_many_their_pictures(root: Path) -> None:
    good = root / "train" / "good"
    for index in range(10):
        (good / str(index % 5)).mkdir(exist_ok=True)
        (good / f"{index:03}.png").rename(good / str(index % 5) / f"{index}.png")
    with pytest.raises(InputError, match="are of 5 parts, .* needs at least 8 parts"):
        read_dataset(root)


def test_test_images_that_would_be_passed_over_are_refused(root: Path) -> None:
    save(root / "test" / "good" / "part7" / "000.png")
    with pytest.raises(InputError, match="part7 holds images, and test images lie directly in "):
        read_dataset(root)


def test_digest_follows_names_and_bytes_but_not_the_place(root: Path, tmp_path: Path) -> None:
    paths = read_dataset(root).train_good
    digest = data_digest(paths)
    moved = Path(shutil.copytree(root / "train" / "good", tmp_path / "elsewhere"))
    assert data_digest(reversed(read_dataset(moved).train_good)) == digest
    assert data_digest(paths[1:]) != digest
    (moved / "000.png").rename(moved / "0.png")
    assert data_digest(read_dataset(moved).train_good) != digest
    paths[3].write_bytes(paths[3].read_bytes() + b"\0")
    assert data_digest(paths) != digest


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gone.png: No such file"):
        data_digest([tmp_path / "gone.png"])


def test_one_of_every_picture_is_kept(tmp_path: Path) -> None:
    """Copied over itself, a folder was trained on and set the threshold with the same pictures."""
    paths = [save(tmp_path / f"{index}.png", 60 + index % 10) for index in range(20)]
    said: list[str] = []
    assert without_copies(paths, said.append) == paths[:10]
    assert said == [
        f"10 images left out that are copies of others, such as {paths[10]} of {paths[0]}"
    ]
    assert without_copies(paths[:10], said.append) == paths[:10] and len(said) == 1
    with pytest.raises(InputError, match="5 different images are left: training needs at least 8"):
        without_copies([*paths[:5], *paths[10:15]], said.append)


def test_a_name_that_is_no_utf_8_is_refused(tmp_path: Path) -> None:
    """A picture from an old Windows share, whose name Python holds as a lone surrogate."""
    for name in (*(b"%d.png" % index for index in range(9)), b"Pr\xfcf.png"):
        (tmp_path / os.fsdecode(name)).write_bytes(b"")
    with pytest.raises(InputError, match="is not UTF-8: rename it"):
        read_dataset(tmp_path)


def test_the_magnetic_tiles(shared: Path) -> None:
    dataset = read_dataset(shared / "data" / "magnetic_tile")
    assert len(dataset.train_good) == 774 and len(dataset.test) == 566
    cracks = [item for item in dataset.test if item.kind == "crack"][:3]
    _, images, masks = load_labelled_images(cracks, View((64, 64)), NoPart, print)
    assert images.std() > 5 and masks.any(axis=(1, 2)).all() and masks.mean() < 0.2
