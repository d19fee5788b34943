"""A camera's pictures in a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from calibration.kept import Keeper


def test_pictures_of_a_camera_that_names_folders_are_kept_under_plain_names(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path / "kept", None, None)
    keeper.keep("frame monday/7", np.zeros((4, 4, 3), np.uint8))
    assert (tmp_path / "kept" / "monday_7.png").is_file()
