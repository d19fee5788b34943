"""A bundle and good parts to calibrate it with."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from tests.tiny import tiny_frames, write_tiny_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny.nlb")


@pytest.fixture(scope="module")
def normals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 30 good parts."""
    folder = tmp_path_factory.mktemp("normals")
    for index, frame in enumerate(tiny_frames(60, (64, 64), seed=5)[0::2]):
        assert cv2.imwrite(str(folder / f"{index:02}.png"), frame)
    return folder
