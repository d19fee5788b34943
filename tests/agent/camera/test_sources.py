"""Synthetic, folder and video sources: what they give, in which order, and how they end."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.camera import Camera, EndOfStream, open_camera, product
from agent.errors import InputError


def names_until_end(camera: Camera, most: int = 50) -> list[str]:
    names: list[str] = []
    for _ in range(most):
        try:
            names.append(camera.read().name)
        except EndOfStream:
            return names
    pytest.fail(f"no end after {most} frames")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three grey images, 10, 20 and 30 bright, of different sizes, in nested folders."""
    for name, value in {"b/1.png": 20, "a/2.png": 10, "c.bmp": 30}.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), np.full((8 + value, 16, 3), value, np.uint8))
    return tmp_path


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "line.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 200, (64, 48))
    for value in (0, 80, 160, 240):
        writer.write(np.full((48, 64, 3), value, np.uint8))
    writer.release()
    return path


def test_synthetic_names_its_parts_and_ends():
    camera = open_camera("synthetic://?rate=0&parts=3&seed=5&defect_rate=1")
    frame = camera.read()
    assert frame.name == "000000"
    assert np.array_equal(frame.image, product.render(5, 0, 1.0)[0])
    assert names_until_end(camera) == ["000001", "000002"]


def test_synthetic_time_goes_on():
    camera = open_camera("synthetic://?rate=0&parts=2")
    assert camera.read().captured_ns < camera.read().captured_ns


@pytest.mark.parametrize(
    ("query", "waits"),
    [("rate=30", False), ("rate=0", True), ("rate=30&wait=true", True)],
)
def test_a_synthetic_line_waits_only_where_told_or_unpaced(query: str, waits: bool):
    assert open_camera(f"synthetic://?{query}").waits is waits


def test_rate_and_seed_are_no_camera_settings():
    one, other = (open_camera(f"synthetic://?{q}") for q in ("rate=5&seed=1", "rate=9&seed=2"))
    assert one.settings() == other.settings()


def test_folder_goes_through_its_images_in_order(folder: Path):
    camera = open_camera(f"folder://{folder}?rate=0")
    frame = camera.read()
    assert (frame.name, frame.frame_id, frame.image[0, 0, 0]) == ("a/2.png", 0, 10)
    assert names_until_end(camera) == ["b/1.png", "c.bmp"]


def test_folder_starts_again_when_it_loops(folder: Path):
    camera = open_camera(f"folder://{folder}?rate=0&loop=true")
    frames = [camera.read() for _ in range(4)]
    assert [f.frame_id for f in frames] == [0, 1, 2, 3]
    assert frames[3].name == frames[0].name


def test_folder_names_the_file_that_cannot_be_read(folder: Path):
    (folder / "a/2.png").write_bytes(b"not an image")
    with pytest.raises(InputError, match=r"a/2\.png"):
        open_camera(f"folder://{folder}?rate=0").read()


def test_folder_path_may_hold_blanks_when_quoted(folder: Path):
    (folder / "two words").mkdir()
    cv2.imwrite(str(folder / "two words/x.png"), np.zeros((4, 4, 3), np.uint8))
    assert open_camera(f"folder://{folder}/two%20words?rate=0").read().name == "x.png"


def test_video_gives_every_frame_once_and_ends(video: Path):
    camera = open_camera(f"file://{video}?rate=1000")
    frame = camera.read()
    assert frame.image.shape == (48, 64, 3)
    assert frame.image.max() < 40
    assert names_until_end(camera) == ["1", "2", "3"]
    camera.close()


def test_video_runs_at_its_own_rate_unless_told(video: Path):
    assert open_camera(f"file://{video}").period_s == pytest.approx(1 / 200, rel=0.05)
    assert open_camera(f"file://{video}?rate=50").period_s == pytest.approx(1 / 50)


def test_video_starts_again_when_it_loops(video: Path):
    camera = open_camera(f"file://{video}?rate=1000&loop=true")
    brightness = [int(camera.read().image.mean()) for _ in range(6)]
    assert brightness[4:] == brightness[:2]


def test_a_file_that_is_no_video_is_refused(tmp_path: Path):
    path = tmp_path / "line.mp4"
    path.write_bytes(b"no video at all" * 100)
    with pytest.raises(InputError, match="does not open"):
        open_camera(f"file://{path}")


def test_a_device_that_is_no_camera_is_refused():
    with pytest.raises(InputError, match="does not open"):
        open_camera("v4l2:///dev/null")
