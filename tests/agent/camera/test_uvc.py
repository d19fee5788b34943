"""A USB camera's picture of which a part never came must not pass for a whole one."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.camera.uvc import shows_incomplete


def kernel(root: Path, driver: str, nodrop: str | None) -> Path:
    """A sysfs with one camera, video3, and the device node, with a link to it."""
    sysfs, devices = root / "sys", root / "dev"
    (sysfs / "bus/drivers" / driver).mkdir(parents=True)
    device = sysfs / "class/video4linux/video3/device"
    device.mkdir(parents=True)
    (device / "driver").symlink_to(sysfs / "bus/drivers" / driver)
    if nodrop is not None:
        (sysfs / "module/uvcvideo/parameters").mkdir(parents=True)
        (sysfs / "module/uvcvideo/parameters/nodrop").write_text(nodrop + "\n")
    (devices / "by-id").mkdir(parents=True)
    (devices / "video3").touch()
    (devices / "by-id/camera").symlink_to(devices / "video3")
    return sysfs


@pytest.mark.parametrize("nodrop", ["1", None], ids=["told to", "a kernel that knows no other way"])
@pytest.mark.parametrize("node", ["video3", "by-id/camera"])
def test_where_the_kernel_hands_it_over_only_compressed_pictures_are_safe(
    node: str, nodrop: str | None, tmp_path: Path
) -> None:
    sysfs = kernel(tmp_path, "uvcvideo", nodrop)
    assert shows_incomplete(tmp_path / "dev" / node, "YUYV", sysfs)
    assert shows_incomplete(tmp_path / "dev" / node, "GREY", sysfs)
    assert not shows_incomplete(tmp_path / "dev" / node, "MJPG", sysfs)


def test_where_the_kernel_drops_it_all_are(tmp_path: Path) -> None:
    sysfs = kernel(tmp_path, "uvcvideo", "0")
    assert not shows_incomplete(tmp_path / "dev/video3", "YUYV", sysfs)


def test_a_camera_of_another_driver_is_not_meant(tmp_path: Path) -> None:
    sysfs = kernel(tmp_path, "tegra-video", None)
    assert not shows_incomplete(tmp_path / "dev/video3", "GREY", sysfs)
    assert not shows_incomplete(Path("/dev/null"), "GREY", sysfs)
