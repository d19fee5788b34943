"""A threshold is taken from what the bundle's view shows of a part, all tiles together."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from agent.bundle import open_bundle
from agent.engine import load_engine
from agent.errors import InputError
from agent.imaging import read_image
from agent.inspection import inspect
from agent.record import read_record
from agent.view import View
from calibration.commands import calibrate
from tests.posed import SIZE, alignment, anywhere, lying
from tests.tiny import write_tiny_bundle

VIEW = {
    "region_of_interest": {"x": 4, "y": 0, "width": 70, "height": 190},
    "image_size": (200, 80),
    "ignore_mask": "ignore_mask.png",
    "tiles": {"rows": 3, "columns": 1, "overlap": 8},
    "window": (0, 4095),
    "score_pixels": 50,
}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    mask = np.zeros((200, 80), np.uint8)
    mask[:30] = 255
    members = {"ignore_mask.png": cv2.imencode(".png", mask)[1].tobytes()}
    return write_tiny_bundle(tmp_path / "tiny.nlb", view=VIEW, members=members)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Twelve tall parts of 12 bits, a label at the top of each."""
    folder = tmp_path / "good"
    folder.mkdir()
    random = np.random.default_rng(0)
    for index in range(12):
        image = random.normal(2000, 20 + 5 * index, (200, 80))
        image[:30] = random.integers(0, 4096, (30, 80))
        cv2.imwrite(str(folder / f"{index:02}.png"), image.clip(0, 4095).astype(np.uint16))
    return folder


def order(bundle: Path, images: Path, out: Path) -> list[str]:
    engine = ["--runtime", "onnxruntime", "--precision", "fp32"]
    return [str(bundle), str(images), "--false-reject-rate", "20%", "--out", str(out), *engine]


def test_scores_are_those_of_whole_parts(bundle: Path, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "tiny.cal.json"
    result = CliRunner().invoke(calibrate, order(bundle, images, out), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    opened = open_bundle(bundle)
    view = View.of(opened)
    engine = load_engine(opened, runtime="onnxruntime", precision="fp32")
    pictures = [read_image(path) for path in sorted(images.iterdir())]
    scores = [inspect(engine, view, view.canvas(picture)).score for picture in pictures]
    engine.close()
    assert read_record(out).scores == pytest.approx(sorted(scores), abs=1e-5)


def test_a_part_of_another_size_is_named(bundle: Path, images: Path, tmp_path: Path) -> None:
    image = cv2.imread(str(images / "05.png"), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(str(images / "05.png"), image[:150])
    with pytest.raises(InputError, match=r"05\.png.* 80x150"):
        out = tmp_path / "tiny.cal.json"
        CliRunner().invoke(calibrate, order(bundle, images, out), catch_exceptions=False)


def test_a_picture_without_a_part_is_left_out_and_named(tmp_path: Path) -> None:
    """An empty tray among two hundred good parts must not cost the shift its calibration."""
    view = {"alignment": alignment(), "image_size": SIZE}
    bundle = write_tiny_bundle(tmp_path / "tiny.nlb", view=view)
    folder = tmp_path / "good"
    folder.mkdir()
    for index, image in enumerate([*anywhere(12), lying(-200, -200, 0)]):
        cv2.imwrite(str(folder / f"{index:02}.png"), image)
    out = tmp_path / "tiny.cal.json"
    result = CliRunner().invoke(calibrate, order(bundle, folder, out), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "12.png: no part" in result.output
    assert len(read_record(out).scores) == 12


def test_a_folder_in_which_no_picture_shows_a_part_is_refused(tmp_path: Path) -> None:
    view = {"alignment": alignment(), "image_size": SIZE}
    bundle = write_tiny_bundle(tmp_path / "tiny.nlb", view=view)
    folder = tmp_path / "trays"
    folder.mkdir()
    for index in range(6):
        cv2.imwrite(str(folder / f"{index}.png"), lying(-200 - index, -200, 0))
    with pytest.raises(InputError, match="none of the pictures"):
        out = tmp_path / "tiny.cal.json"
        CliRunner().invoke(calibrate, order(bundle, folder, out), catch_exceptions=False)
