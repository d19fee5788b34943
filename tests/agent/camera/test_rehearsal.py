"""Faults of a camera that are shown on demand."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.camera import Camera, CameraFault, open_camera
from agent.errors import InputError


@pytest.fixture
def faults(tmp_path: Path) -> Path:
    return tmp_path / "faults"


@pytest.fixture
def camera(tmp_path: Path, faults: Path) -> Camera:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for index in range(4):
        image = np.random.default_rng(index).integers(90, 110, (64, 64, 3), np.uint8)
        cv2.imwrite(str(pictures / f"{index}.png"), image)
    return open_camera(f"folder://{pictures}?rate=0&loop=true&faults={faults}")


def test_each_fault_lasts_as_long_as_its_file(camera: Camera, faults: Path) -> None:
    plain = camera.read().image
    for fault, holds in {
        "dark": lambda image: image.mean() < 10,
        "saturated": lambda image: image.min() == 255,
        "blurred": lambda image: image.std() < plain.std() / 2,
        "grey": lambda image: np.array_equal(image[..., 0], image[..., 2]),
    }.items():
        faults.write_text(fault)
        assert holds(camera.read().image), fault
        faults.unlink()
        image = camera.read().image
        assert 95 < image.mean() < 105 and not np.array_equal(image[..., 0], image[..., 2])


def test_faults_of_16_bit_pictures_have_16_bits(tmp_path: Path, faults: Path) -> None:
    """Each read as a picture of the wrong depth, and none as what was rehearsed."""
    image = np.random.default_rng(0).integers(36_000, 44_000, (64, 64, 3), np.uint16)
    cv2.imwrite(str(tmp_path / "picture.png"), image)
    camera = open_camera(f"folder://{tmp_path}?rate=0&loop=true&faults={faults}")
    for fault, holds in {
        "dark": lambda shown: 2_000 < shown.mean() < 3_000,
        "saturated": lambda shown: shown.min() == 65_535,
        "blurred": lambda shown: shown.std() < image.std() / 2 and shown.mean() > 36_000,
        "grey": lambda shown: np.array_equal(shown[..., 0], image[..., 1]),
    }.items():
        faults.write_text(fault)
        shown = camera.read().image
        assert shown.dtype == np.uint16 and holds(shown), fault


def test_a_frozen_camera_repeats_itself(camera: Camera, faults: Path) -> None:
    before = camera.read()
    faults.write_text("frozen\n")
    frozen = [camera.read() for _ in range(2)]
    assert all(np.array_equal(frame.image, before.image) for frame in frozen)
    assert frozen[1].frame_id > frozen[0].frame_id > before.frame_id
    faults.unlink()
    assert not np.array_equal(camera.read().image, before.image)


def test_an_unplugged_camera_fails_and_does_not_open(
    camera: Camera, faults: Path, tmp_path: Path
) -> None:
    faults.write_text("unplugged")
    with pytest.raises(CameraFault, match="unplugged"):
        camera.read()
    with pytest.raises(InputError, match="unplugged"):
        open_camera(f"folder://{tmp_path / 'pictures'}?faults={faults}")


def test_a_fault_that_nobody_knows_is_refused(camera: Camera, faults: Path) -> None:
    faults.write_text("melted")
    with pytest.raises(InputError, match="no fault 'melted': choose one of"):
        camera.read()
