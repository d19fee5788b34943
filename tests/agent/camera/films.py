"""Films some of whose bytes are lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

PICTURES = 15
# FFmpeg writes a key picture every so many.
KEY_EVERY = 12
DAMAGED = 6
PACKET = 188


def _write(path: Path, backend: int, code: str) -> bytes:
    rng = np.random.default_rng(1)
    writer = cv2.VideoWriter(str(path), backend, cv2.VideoWriter_fourcc(*code), 25, (320, 240))
    for _ in range(PICTURES):
        noise = cv2.GaussianBlur(rng.integers(0, 255, (240, 320, 3), np.uint8), (15, 15), 4)
        writer.write(cv2.normalize(noise, None, 0, 255, cv2.NORM_MINMAX))
    writer.release()
    return path.read_bytes()


def jpeg_film(path: Path, harm: Callable[[bytes], bytes], harmed_one: int = DAMAGED) -> Path:
    """A film of JPEG pictures, the bytes of one of them replaced by as many others."""
    data = _write(path, cv2.CAP_OPENCV_MJPEG, "MJPG")
    begin = -1
    for _ in range(harmed_one + 1):
        begin = data.index(b"\xff\xd8\xff", begin + 1)
    end = data.index(b"\xff\xd9", begin) + 2
    harmed = harm(data[begin:end])
    assert len(harmed) == end - begin
    path.write_bytes(data[:begin] + harmed + data[end:])
    return path


def cut(jpeg: bytes) -> bytes:
    """The second half is lost: after the first comes the mark of the end."""
    half = len(jpeg) // 2
    return jpeg[:half] + b"\xff\xd9" + bytes(len(jpeg) - half - 2)


def mpeg4_film(path: Path, first: int = 0, lost_of: int | None = None) -> Path:
    """A film as changes since the picture before, in packets: without the first pictures, or
    without the second half of one.
    """
    data = _write(path, cv2.CAP_FFMPEG, "mp4v")
    packets = [data[at : at + PACKET] for at in range(0, len(data), PACKET)]
    picture = [at for at, packet in enumerate(packets) if _of_picture(packet)]
    starts = [at for at in picture if packets[at][1] & 0x40]
    assert len(starts) == PICTURES
    lost = set(range(starts[0], starts[first]))
    if lost_of is not None:
        of_one = [at for at in picture if starts[lost_of] <= at < starts[lost_of + 1]]
        lost |= set(of_one[len(of_one) // 2 : -1])
    path.write_bytes(b"".join(packet for at, packet in enumerate(packets) if at not in lost))
    return path


def _of_picture(packet: bytes) -> bool:
    return (packet[1] & 0x1F) << 8 | packet[2] == 0x100
