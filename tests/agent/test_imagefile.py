"""A file that decoders take for a whole picture, though it is none, is refused by name."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from agent.errors import InputError
from agent.imagefile import CV_LOGGING, check_file
from agent.imaging import read_image


@pytest.fixture
def picture() -> NDArray[np.uint8]:
    """uint8 [240, 320, 3]: noise of few pixels' width."""
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), 1), np.uint8)


def jpeg(picture: NDArray[np.uint8]) -> bytes:
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


def read(folder: Path, name: str, data: bytes) -> NDArray:
    (folder / name).write_bytes(data)
    return read_image(folder / name)


@pytest.mark.parametrize("filled", [True, False], ids=["zeros", "gone"])
def test_a_jpeg_with_a_hole_is_refused(
    filled: bool, picture: NDArray[np.uint8], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A bad sector of a memory card: most of the picture was wrong, and the decoder's line about it
    on the terminal was all that happened."""
    whole = jpeg(picture)
    hole = bytes(4096) if filled else b""
    with pytest.raises(InputError, match="a.jpg is damaged: copy it again"):
        read(tmp_path, "a.jpg", whole[:8192] + hole + whole[12288:])
    assert capfd.readouterr().err == ""


def test_a_jpeg_that_a_camera_pads_is_whole(picture: NDArray[np.uint8], tmp_path: Path) -> None:
    whole = jpeg(picture)
    padded = read(tmp_path, "padded.jpg", whole[:-2] + bytes(19) + whole[-2:])
    np.testing.assert_array_equal(padded, read(tmp_path, "a.jpg", whole))


def test_what_follows_the_end_of_a_picture_does_not_count(
    picture: NDArray[np.uint8], tmp_path: Path
) -> None:
    """A preview that was itself cut, and padding to whole blocks."""
    whole = jpeg(picture)
    shown = read(tmp_path, "a.jpg", whole)
    np.testing.assert_array_equal(read(tmp_path, "b.jpg", whole + whole[:9000]), shown)
    png = cv2.imencode(".png", picture)[1].tobytes()
    np.testing.assert_array_equal(read(tmp_path, "a.png", png + bytes(9000)), picture)


def test_a_file_of_several_pictures_is_refused(picture: NDArray[np.uint8], tmp_path: Path) -> None:
    """Of a camera's stack of 500 parts, the first was a part and the others were nothing."""
    path = tmp_path / "stack.tif"
    assert cv2.imwritemulti(str(path), [picture, 255 - picture])
    with pytest.raises(InputError, match="stack.tif holds several pictures: save each"):
        read_image(path)
    assert cv2.imwritemulti(str(path), [picture])
    np.testing.assert_array_equal(read_image(path), picture)


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize(("version", "sizes"), [(42, (4, 2, 12)), (43, (8, 8, 20))])
@pytest.mark.parametrize("following", [0, 999])
def test_every_kind_of_tiff_tells_whether_another_picture_follows(
    order: str, version: int, sizes: tuple[int, int, int], following: int
) -> None:
    """Two byte orders, and BigTIFF: its head and a directory of three entries."""
    offset, count, entry = sizes

    def number(value: int, size: int) -> bytes:
        return value.to_bytes(size, "little" if order == "little" else "big")

    head = (b"II" if order == "little" else b"MM") + number(version, 2)
    head += number(8, 2) + number(0, 2) if version == 43 else b""
    directory = number(3, count) + bytes(3 * entry) + number(following, offset)
    data = head + number(len(head) + offset, offset) + directory
    if following:
        with pytest.raises(InputError, match="several pictures"):
            check_file(data, "it")
    else:
        check_file(data, "it")


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("a.png", np.uint8), ("a.png", np.uint16), ("a.tif", np.uint8), ("a.tif", np.uint16)]
    + [("a.webp", np.uint8)],
)
def test_a_picture_that_can_be_seen_through_is_refused(
    name: str, dtype: type, picture: NDArray[np.uint8], tmp_path: Path
) -> None:
    """A part cut out of its background: a PNG shows what was there, a TIFF and a WebP black."""
    top = np.iinfo(dtype).max
    image = np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)]).astype(dtype)
    image *= top // 255
    path = tmp_path / name
    lossless = [cv2.IMWRITE_WEBP_QUALITY, 101] if name == "a.webp" else []
    assert cv2.imwrite(str(path), image, lossless)
    np.testing.assert_array_equal(read_image(path), image[..., :3])
    image[100, 100, 3] = top - 1
    assert cv2.imwrite(str(path), image, lossless)
    with pytest.raises(InputError, match=f"{name} is transparent in places"):
        read_image(path)


def test_a_bmp_of_four_channels_is_not_transparent(
    picture: NDArray[np.uint8], tmp_path: Path
) -> None:
    """Programs leave the fourth at 0."""
    image = np.dstack([picture, np.zeros(picture.shape[:2], np.uint8)])
    assert cv2.imwrite(str(tmp_path / "a.bmp"), image)
    np.testing.assert_array_equal(read_image(tmp_path / "a.bmp"), picture)


def png(colour: int, rows: bytes, *more: tuple[bytes, bytes]) -> bytes:
    """A PNG of 2 x 2 pixels of that colour type, 8 bits each; more: chunks before the pixels."""
    size = (2).to_bytes(4, "big") * 2
    chunks = [(b"IHDR", size + bytes((8, colour, 0, 0, 0))), *more]
    chunks += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    written = [
        len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")
        for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(written)


def test_grey_with_transparency_and_a_colour_that_stands_for_none_are_refused(
    tmp_path: Path,
) -> None:
    """As programs write a part that was cut out, where it has no more than a few colours."""
    opaque = png(4, bytes([0, 50, 255, 60, 255] * 2))
    assert read(tmp_path, "a.png", opaque)[0, 0].tolist() == [50, 50, 50]
    with pytest.raises(InputError, match="grey.png is transparent in places"):
        read(tmp_path, "grey.png", png(4, bytes([0, 50, 255, 60, 0] * 2)))
    palette = (b"PLTE", bytes([10, 20, 30, 40, 50, 60]))
    rows = bytes([0, 0, 1] * 2)
    assert read(tmp_path, "b.png", png(3, rows, palette))[0, 1].tolist() == [60, 50, 40]
    with pytest.raises(InputError, match="few.png is transparent in places"):
        read(tmp_path, "few.png", png(3, rows, palette, (b"tRNS", bytes([255, 0]))))


def test_a_jpeg_with_a_byte_of_filling_between_its_segments_is_whole(
    picture: NDArray[np.uint8], tmp_path: Path
) -> None:
    whole = jpeg(picture)
    filled = read(tmp_path, "filled.jpg", whole[:2] + b"\xff" + whole[2:])
    np.testing.assert_array_equal(filled, read(tmp_path, "a.jpg", whole))


def test_ten_thousand_pictures_leave_nothing_open_and_opencv_as_it_was(
    picture: NDArray[np.uint8], tmp_path: Path
) -> None:
    data, usual = jpeg(picture), CV_LOGGING.getLogLevel()
    CV_LOGGING.setLogLevel(4)
    read(tmp_path, "a.jpg", data)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        read(tmp_path, "a.jpg", data)
    assert len(os.listdir("/proc/self/fd")) == before
    level = CV_LOGGING.getLogLevel()
    CV_LOGGING.setLogLevel(usual)
    assert level == 4
