"""Lists of images as a source of normal parts."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.errors import InputError
from calibration.sources import open_source, read_exclusions


def test_a_list_names_images_from_its_own_folder(tmp_path: Path) -> None:
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    cv2.imwrite(str(tmp_path / "good.png"), image)
    cv2.imwrite(str(tmp_path / "other.png"), image)
    listing = tmp_path / "calibration.txt"
    listing.write_text("good.png\n\n")
    with open_source(str(listing), None) as source:
        assert source.count == 1
        assert [name for name, _ in source.frames] == [str(tmp_path / "good.png")]


@pytest.mark.parametrize("name", ["a\u2028b.png", "a\x85b.png", "a\fb.png"])
def test_a_name_may_hold_what_ends_a_line_elsewhere(tmp_path: Path, name: str) -> None:
    """It was taken for two names, of files that are not there."""
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((4, 4, 3), np.uint8))
    (tmp_path / "a.png").rename(tmp_path / name)
    listing = tmp_path / "calibration.txt"
    listing.write_bytes(f"{name}\r\n".encode())
    with open_source(str(listing), None) as source:
        assert [each for each, _ in source.frames] == [str(tmp_path / name)]
    assert read_exclusions(listing, [str(tmp_path / name)]) == {str(tmp_path / name)}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(None, "cannot read the list", id="no such list"),
        pytest.param("\n\n", "names no images", id="an empty list"),
    ],
)
def test_a_list_without_images_is_refused(
    tmp_path: Path, content: str | None, message: str
) -> None:
    listing = tmp_path / "calibration.txt"
    if content is not None:
        listing.write_text(content)
    with pytest.raises(InputError, match=message), open_source(str(listing), None):
        pass


def test_of_a_camera_that_fails_is_said_why_until_it_is_back(tmp_path: Path) -> None:
    faults = tmp_path / "faults"
    with open_source(f"synthetic://?rate=50&faults={faults}", 1000) as source:
        # A camera that never comes back says so twice a second.
        frames = islice(source.frames, 3000)
        _, image = next(frames)
        assert isinstance(image, np.ndarray) and not source.recorded
        faults.write_text("unplugged")
        told = [next(each for each in frames if isinstance(each[1], str)), next(frames)]
        assert {name for name, _ in told} == {told[0][0]}
        assert all("unplugged" in str(why) for _, why in told)
        faults.unlink()
        back = (name for name, given in frames if isinstance(given, np.ndarray))
        assert next(back) != next(back)
