"""A bundle of an earlier normline is used, and what it lacks is said."""

from __future__ import annotations

from pathlib import Path

from agent.age import shortcomings
from agent.bundle import open_bundle
from agent.pixels import PIXELS
from tests.tiny import write_tiny_bundle

IMAGES = {"size": [64, 64], "coloured": True}


def lacks(path: Path, **view: object) -> list[str]:
    return shortcomings(open_bundle(write_tiny_bundle(path / "tiny.nlb", view=view)).manifest)


def test_of_a_bundle_of_this_version_there_is_nothing_to_say(tmp_path: Path) -> None:
    assert lacks(tmp_path, pixels=PIXELS, training_images=IMAGES) == []


def test_a_model_that_was_taught_other_pixels_is_told_of(tmp_path: Path) -> None:
    (said,) = lacks(tmp_path, training_images=IMAGES)
    assert "shrunk otherwise" in said and "normline evaluate" in said


def test_a_bundle_that_does_not_know_its_pictures_is_told_of(tmp_path: Path) -> None:
    """Grey pictures in place of colours passed for the product, and nobody was told."""
    (said,) = lacks(tmp_path, pixels=PIXELS)
    assert "CAMERA_FAULT" in said
