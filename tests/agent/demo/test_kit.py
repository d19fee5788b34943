"""The demo's kit and the station files made from it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from agent.bundle import open_bundle
from agent.config import Publish, load_station
from agent.demo.kit import Kit, check_keepable, free_endpoints, write_station
from agent.errors import InputError
from agent.record import read_record

USUAL = Publish.model_validate({})


def test_a_station_file_from_the_kit_is_one_that_the_service_reads(kit: Kit, tmp_path: Path):
    path = write_station(tmp_path / "new", kit, "openvino", USUAL, parts=None)
    station = load_station(path)
    bundle = open_bundle(station.product.bundle)
    assert read_record(station.product.calibration).bundle_sha256 == bundle.sha256
    assert station.publish.verdicts == "tcp://127.0.0.1:5556"
    query = parse_qs(urlsplit(station.camera.uri).query)
    assert query["wait"] == ["true"]
    assert "parts" not in query


def test_a_line_with_an_end_says_so_to_its_camera(kit: Kit, tmp_path: Path):
    path = write_station(tmp_path, kit, "openvino", free_endpoints(), parts=7)
    assert parse_qs(urlsplit(load_station(path).camera.uri).query)["parts"] == ["7"]


def test_free_endpoints_differ_from_each_other():
    assert len(set(free_endpoints().model_dump().values())) == 3


def test_a_kit_without_a_calibration_for_any_runtime_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="no runtime is installed"):
        Kit(tmp_path).installed_runtime()


def test_the_runtime_is_one_that_is_here_and_was_calibrated_on(tmp_path: Path):
    (tmp_path / "onnxruntime.cal.json").touch()
    assert Kit(tmp_path).installed_runtime() == "onnxruntime"


@pytest.mark.parametrize(
    ("content", "refused"),
    [
        (None, None),
        ([], None),
        # Of a plant's station, or of an earlier demo that has become one.
        (["station.yaml", "flange.nlb"], "holds files already"),
    ],
)
def test_only_a_new_or_an_empty_folder_is_used(
    tmp_path: Path, content: list[str] | None, refused: str | None
):
    folder = tmp_path / "kept"
    if content is not None:
        folder.mkdir()
        for name in content:
            (folder / name).touch()
    if refused is None:
        check_keepable(folder)
        return
    with pytest.raises(InputError, match=refused):
        check_keepable(folder)


def test_a_file_is_no_folder_to_keep_a_demo_in(tmp_path: Path):
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(InputError, match="not a folder"):
        check_keepable(path)


def test_an_unwritable_place_is_one_clear_error(kit: Kit, tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot set up the demo"):
        write_station(tmp_path / "file" / "below", kit, "openvino", USUAL, None)
