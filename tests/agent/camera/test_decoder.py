"""Pictures that a decoder made up in part were judged as whole: only what it prints tells."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from agent.camera import decoder, open_camera, opencv
from agent.errors import InputError
from tests.agent.camera.films import DAMAGED, KEY_EVERY, PICTURES, cut, jpeg_film, mpeg4_film

ROOT = Path(__file__).parents[3]
CAMERA = """
import itertools, os, sys
from agent.camera import CameraFault, decoder, live
from agent.camera.opencv import open_capture
from agent.camera.uri import parse

path, backend, every_frame = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "every_frame"
# A film is there at once.
live.FRESH_SHARE, live._waits = -1, itertools.count().__next__
decoder.listen()
for descriptor in (1, 2):
    os.write(descriptor, b"Corrupt JPEG data: 2 extraneous bytes before marker 0xd9 s3cret\\n")
uri = parse("v4l2:///dev/video0")
capture = open_capture(uri, path, backend, [])
try:
    camera = live.LiveCamera(uri, capture, {}, every_frame=every_frame)
    while True:
        print(camera.read().frame_id, file=sys.stderr)
except CameraFault as error:
    print(error, file=sys.stderr)
"""


def said_by_a_camera(film: Path, backend: int, frames: str = "every_frame") -> list[str]:
    """What the process of a live camera that gives these pictures says: each, and its fault."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    # It would have C's stdout, too, print at once.
    environment.pop("PYTHONUNBUFFERED", None)
    done = subprocess.run(
        [sys.executable, "-c", CAMERA, str(film), str(backend), frames],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    assert done.stdout == ""
    return done.stderr.splitlines()


@pytest.mark.parametrize("damage", [False, True])
def test_a_jpeg_picture_that_lacks_data_is_a_fault(tmp_path: Path, damage: bool):
    film = jpeg_film(tmp_path / "film.avi", cut if damage else bytes)
    *pictures, fault = said_by_a_camera(film, cv2.CAP_OPENCV_MJPEG)
    assert len(pictures) == (DAMAGED if damage else PICTURES)
    assert ("a damaged picture (the decoder says: premature end" in fault) == damage
    assert ("no frame" in fault) == (not damage)


def test_a_stream_that_lost_packets_is_a_fault(tmp_path: Path):
    """Half of the picture was that of the part before, and so were parts of all that followed."""
    film = mpeg4_film(tmp_path / "film.ts", lost_of=DAMAGED)
    *pictures, fault = said_by_a_camera(film, cv2.CAP_FFMPEG)
    assert len(pictures) <= DAMAGED
    assert "a damaged picture (the decoder says: " in fault


def test_a_camera_that_begins_with_a_damaged_picture_is_no_faulty_one(tmp_path: Path):
    film = jpeg_film(tmp_path / "film.avi", cut, harmed_one=0)
    *pictures, fault = said_by_a_camera(film, cv2.CAP_OPENCV_MJPEG, "fresh")
    assert len(pictures) == PICTURES - 2
    assert "no frame" in fault


def test_a_stream_that_is_joined_between_two_key_pictures_begins_with_the_next(tmp_path: Path):
    film = mpeg4_film(tmp_path / "film.ts", first=1)
    *pictures, fault = said_by_a_camera(film, cv2.CAP_FFMPEG, "fresh")
    assert len(pictures) == PICTURES - KEY_EVERY - 1
    assert "no frame" in fault


@pytest.mark.parametrize(
    ("printed", "damage"),
    [
        (b"Corrupt JPEG data: 19 extraneous bytes before marker 0xd9", None),
        (b"[OPENCV:FFMPEG:24] deprecated pixel format used, make sure", None),
        (b"[ WARN:0@9] global cap_v4l.cpp:1136 tryIoctl VIDEOIO(V4L2): select() timeout", None),
        (b"Corrupt JPEG data: bad Huffman code", "bad Huffman code"),
        (b"[OPENCV:FFMPEG:32] concealing 153 DC, 153 AC errors in P frame", "concealing"),
        (b"x" * decoder.ROOM, "more than can be kept"),
    ],
)
def test_what_is_printed_is_told_once_where_it_is_of_damage(
    printed: bytes, damage: str | None, monkeypatch: pytest.MonkeyPatch
):
    heard, said = os.pipe2(os.O_NONBLOCK)
    monkeypatch.setattr(decoder, "_heard", heard)
    os.write(said, printed)
    assert decoder.damage() == damage
    assert decoder.damage() is None
    os.close(heard)
    os.close(said)


def test_ffmpeg_decodes_without_delay_and_takes_a_stream_whole(monkeypatch: pytest.MonkeyPatch):
    """With a thread for each core it was cores - 1 pictures late, and captured_at with it."""
    asked: list[int] = []

    class Capture:
        def __init__(self, source: str, backend: int, params: list[int]) -> None:
            asked.extend(params)

        def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
            return False

    monkeypatch.setattr(opencv.cv2, "VideoCapture", Capture)
    monkeypatch.setenv("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;udp")
    with pytest.raises(InputError, match="does not open"):
        open_camera("rtsp://127.0.0.1:9/live")
    settings = dict(zip(asked[::2], asked[1::2], strict=True))
    assert settings[cv2.CAP_PROP_N_THREADS] == 1
    assert os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] == "rtsp_transport;tcp"
