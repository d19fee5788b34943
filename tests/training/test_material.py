"""Images of good parts are split and read, and what is odd about them is said."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from training import material as material_module
from training.budget import Budget
from training.dataset import read_dataset
from training.material import Material, gather
from training.order import Order
from training.wish import ViewWish

COUNT = 12


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """Twelve pictures of noise in colour."""
    folder = tmp_path / "parts"
    folder.mkdir()
    random = np.random.default_rng(0)
    for index in range(COUNT):
        noise = random.integers(0, 256, (32, 32, 3), np.uint8)
        cv2.imwrite(str(folder / f"{index:02}.png"), noise)
    return folder


def gathered(folder: Path) -> tuple[Material, str]:
    order = Order(
        out=folder / "run",
        preset="edge-s",
        budget=Budget(steps=1),
        input_size=(32, 32),
        view=ViewWish(align=False),
        seed=0,
        device="cpu",
        product="noise",
        textures=None,
        resume=False,
    )
    said: list[str] = []
    return gather(order, read_dataset(folder).train_good, said.append), "\n".join(said)


def test_what_sets_the_threshold_is_not_trained_on_under_another_name(parts: Path) -> None:
    before, _ = gathered(parts)
    for path in sorted(parts.iterdir()):
        shutil.copy(path, parts / f"copy of {path.name}")
    material, said = gathered(parts)
    assert sum(material.counts.values()) == COUNT == sum(before.counts.values())
    assert "12 images left out that are copies of others" in said and "12 good images" in said
    trained = {
        tile.tobytes() for part in (material.parts, material.held_out) for tile in part.tiles
    }
    for path in material.calibration:
        image = cv2.imread(str(path))
        assert image is not None and image.tobytes() not in trained


def test_images_in_folders_beside_are_said_to_be_left_out(parts: Path) -> None:
    _, said = gathered(parts)
    assert "not taken" not in said
    shutil.copytree(parts, parts / "monday")
    material, said = gathered(parts)
    assert sum(material.counts.values()) == COUNT
    assert f"of {parts}, images in monday are not taken" in said


def test_pictures_of_one_part_stay_together_and_count_once(parts: Path) -> None:
    before, said = gathered(parts)
    assert f"{COUNT} good images: 9 to train on" in said
    good = parts / "train" / "good"
    for path in sorted(parts.glob("*.png")):
        folder = good / path.stem
        folder.mkdir(parents=True)
        picture = cv2.imread(str(path))
        assert picture is not None
        for side in range(4):
            cv2.imwrite(str(folder / f"{side}.png"), np.rot90(picture, side))
    (good / "00" / "older").mkdir()
    shutil.copy(good / "00" / "0.png", good / "00" / "older")
    material, said = gathered(parts)
    assert material.counts == {"train": 36, "selection": 4, "calibration": 2}
    assert "48 good images of 12 parts: 36 to train on, 4 to choose the checkpoint with, 2" in said
    assert "2, one of each part, set aside" in said
    assert "supports a false-reject rate of 33.4 % or more" in said
    assert f"of {good / '00'}, images in older are not taken" in said
    assert said.count("not taken") == 1
    assert len({path.parent for path in material.calibration}) == 2
    held = np.concatenate([material.parts.tiles, material.held_out.tiles])
    turned = {np.rot90(tile, side).tobytes() for tile in held for side in range(4)}
    for path in material.calibration:
        image = cv2.imread(str(path))
        assert image is not None and image.tobytes() not in turned


def test_grey_among_coloured_pictures_is_said(parts: Path) -> None:
    material, said = gathered(parts)
    assert "grey" not in said and material.images == {"size": (32, 32), "coloured": True}
    faded = sorted(parts.iterdir())[: COUNT // 2]
    for path in faded:
        cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
    material, said = gathered(parts)
    grey = len(set(faded) - set(material.calibration))
    read = COUNT - len(material.calibration)
    assert not material.images["coloured"]
    assert f"{grey} of {read} images are grey, the others in colour" in said


def test_every_image_has_one_use(parts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What sets the threshold is not looked at, not even for how parts are to be seen."""
    read: list[Path] = []
    looked: list[Path] = []
    load, choose = material_module.load_images, material_module.choose_view

    def noted_load(paths: Any, view: Any) -> Any:
        read.extend(paths)
        return load(paths, view)

    def noted_choose(wish: Any, paths: Any, *more: Any) -> Any:
        looked.extend(paths)
        return choose(wish, paths, *more)

    monkeypatch.setattr(material_module, "load_images", noted_load)
    monkeypatch.setattr(material_module, "choose_view", noted_choose)
    material, _ = gathered(parts)
    assert material.counts == {"train": 9, "selection": 1, "calibration": 2}
    assert material.tiles == {"train": 9, "selection": 1}
    assert sorted([*read, *material.calibration]) == sorted(parts.glob("*.png"))
    assert sorted(looked) == sorted(read)


def test_of_many_images_only_so_many_choose_the_checkpoint(
    parts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are trained on."""
    monkeypatch.setattr(material_module, "SELECTION_SHARE", 0.5)
    monkeypatch.setattr(material_module, "MAX_SELECTION", 2)
    material, _ = gathered(parts)
    assert material.counts == {"train": 8, "selection": 2, "calibration": 2}
