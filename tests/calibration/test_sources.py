"""Lists of images as a source of normal parts."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.errors import InputError
from calibration.sources import Keeper, open_source


def test_a_list_names_images_from_its_own_folder(tmp_path: Path) -> None:
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    cv2.imwrite(str(tmp_path / "good.png"), image)
    cv2.imwrite(str(tmp_path / "other.png"), image)
    listing = tmp_path / "calibration.txt"
    listing.write_text("good.png\n\n")
    with open_source(str(listing), None) as source:
        assert source.count == 1
        assert [name for name, _ in source.frames] == [str(tmp_path / "good.png")]


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


def test_pictures_of_a_camera_that_names_folders_are_kept_under_plain_names(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path / "kept", None)
    keeper.keep("frame monday/7", np.zeros((4, 4, 3), np.uint8))
    assert (tmp_path / "kept" / "monday_7.png").is_file()
