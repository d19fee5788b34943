"""The station sees of an image what the bundle says, and tells in camera pixels what it found."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from agent.client import Position, Subscriber
from agent.verdict import Outcome, Reason, Verdict
from tests.agent.service.process import StationProcess, write_station
from tests.posed import SIZE, alignment, lying

# Tall parts from a camera of 12 bits; the top carries a label that differs from part to part.
HEIGHT, WIDTH, LABEL = 300, 120, 40
ROI = {"x": 12, "y": 20, "width": 100, "height": 270}
SPOT = (slice(200, 216), slice(50, 66))


def part(index: int, spot: bool) -> NDArray[np.uint16]:
    random = np.random.default_rng(index)
    image = random.normal(2000, 40, (HEIGHT, WIDTH))
    image[:LABEL] = random.integers(0, 4096, (LABEL, WIDTH))
    if spot:
        image[SPOT] = 0
    return image.clip(0, 4095).astype(np.uint16)


@pytest.fixture
def station_file(tmp_path: Path) -> Path:
    """Four parts: good, spotted, one of another size, one of another depth."""
    images = tmp_path / "images"
    images.mkdir()
    pictures = [part(0, False), part(1, True), part(2, False)[:200], (part(3, False) >> 4)]
    pictures[3] = pictures[3].astype(np.uint8)
    for index, picture in enumerate(pictures):
        assert cv2.imwrite(str(images / f"{index}.png"), picture)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[:LABEL] = 255
    view = {
        "region_of_interest": ROI,
        "image_size": (HEIGHT, WIDTH),
        "ignore_mask": "ignore_mask.png",
        "tiles": {"rows": 3, "columns": 1, "overlap": 8},
        "window": (0, 4095),
        "score_pixels": 50,
    }
    return write_station(
        tmp_path,
        {"uri": f"folder://{images}?rate=0"},
        threshold=-2.0,
        view=view,
        members={"ignore_mask.png": cv2.imencode(".png", mask)[1].tobytes()},
    )


def verdicts_of(station_file: Path, count: int) -> list[Verdict]:
    """The first verdicts of a station."""
    verdicts: list[Verdict] = []
    with (
        StationProcess(station_file) as station,
        Subscriber(
            station.publish["verdicts"], station.publish["replay"], position=Position(0, 0)
        ) as subscriber,
    ):
        while len(verdicts) < count:
            event = subscriber.receive(30.0)
            assert event is not None, station.stderr()
            if isinstance(event, Verdict):
                verdicts.append(event)
        station.terminate()  # whatever it has logged is there
    return verdicts


def test_pictures_without_colours_or_of_another_shape_are_a_fault_of_the_camera(
    tmp_path: Path,
) -> None:
    """A network camera at night, and a driver that is back at its usual size."""
    images = tmp_path / "images"
    images.mkdir()
    coloured = np.random.default_rng(0).integers(90, 110, (60, 80, 3), np.uint8)
    pictures = {
        "as trained": coloured,
        "night": np.repeat(coloured[..., :1], 3, axis=2),
        "square": cv2.resize(coloured, (64, 64)),
        "twice as large": cv2.resize(coloured, (160, 120)),
    }
    for name, picture in pictures.items():
        assert cv2.imwrite(str(images / f"{name}.png"), picture)
    station = write_station(
        tmp_path,
        {"uri": f"folder://{images}?rate=0"},
        view={"training_images": {"size": (60, 80), "coloured": True}},
    )
    found = dict(zip(sorted(pictures), verdicts_of(station, 4), strict=True))
    for name in ("as trained", "twice as large"):
        assert found[name].verdict is Outcome.PASS
    for name in ("night", "square"):
        assert found[name].verdict is Outcome.NO_DECISION
        assert found[name].reason is Reason.CAMERA_FAULT
    stderr = (tmp_path / "stderr.txt").read_text()
    assert "grey: no colours, the training images had some" in stderr
    assert "64x64 pixels, the training images were 80x60, of another shape" in stderr


def test_a_tall_part_of_16_bits_with_a_label_to_ignore(station_file: Path) -> None:
    good, spotted, smaller, shallow = verdicts_of(station_file, 4)
    stderr = station_file.with_name("stderr.txt").read_text()
    assert good.verdict is Outcome.PASS
    assert spotted.verdict is Outcome.REJECT
    box = spotted.regions[0].box
    assert abs(box.y - SPOT[0].start) < 6 and abs(box.y + box.height - SPOT[0].stop) < 6
    assert abs(box.x - SPOT[1].start) < 6 and abs(box.x + box.width - SPOT[1].stop) < 6
    assert all(region.box.y >= LABEL - 2 for region in spotted.regions)
    assert smaller.verdict is Outcome.NO_DECISION and smaller.reason is Reason.CAMERA_FAULT
    assert shallow.verdict is Outcome.NO_DECISION and shallow.reason is Reason.CAMERA_FAULT
    assert "120x200 pixels, the training images were 120x300" in stderr
    assert "8 bits a channel, the training images had 16" in stderr


def test_a_part_that_lies_anywhere_is_followed(tmp_path: Path) -> None:
    """A spot is told where the camera has it; a picture without a part passes nothing."""
    images = tmp_path / "images"
    images.mkdir()
    spotted = lying(190, 130, 250)
    x, y = 190, 130
    spotted[y - 3 : y + 4, x - 3 : x + 4] = 255
    for index, picture in enumerate([lying(140, 115, 30), spotted, lying(-200, -200, 0)]):
        assert cv2.imwrite(str(images / f"{index}.png"), picture)
    view = {"alignment": alignment(), "image_size": SIZE, "tiles": {"rows": 1, "columns": 2}}
    camera = {"uri": f"folder://{images}?rate=0"}
    station_file = write_station(tmp_path, camera, threshold=1.0, view=view)
    clean, marked, gone = verdicts_of(station_file, 3)
    assert clean.verdict is Outcome.PASS
    assert marked.verdict is Outcome.REJECT
    box = marked.regions[0].box
    assert box.x <= x <= box.x + box.width and box.y <= y <= box.y + box.height
    assert box.width < 16 and box.height < 16
    assert gone.verdict is Outcome.NO_DECISION and gone.reason is Reason.CAMERA_FAULT
