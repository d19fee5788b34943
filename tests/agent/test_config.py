"""A station file is understood completely or refused in one line that names the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config import load_station
from agent.errors import InputError

MINIMAL = """
station: {site: plant1, line: line3, name: st7}
product: {bundle: tile.nlb, calibration: /data/tile.cal.json}
camera: {uri: "synthetic://?rate=30"}
journal: {path: journal.db}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "station.yaml"
    path.write_text(text)
    return path


def test_paths_are_relative_to_the_station_file(tmp_path: Path) -> None:
    station = load_station(write(tmp_path, MINIMAL))
    assert station.product.bundle == tmp_path / "tile.nlb"
    assert station.product.calibration == Path("/data/tile.cal.json")
    assert station.journal.path == tmp_path / "journal.db"


def test_what_is_left_out_has_a_default(tmp_path: Path) -> None:
    station = load_station(write(tmp_path, MINIMAL))
    assert station.camera.mode == "free_run"
    assert station.camera.deadline_ms is None
    assert station.engine.precision == "int8"
    assert station.publish.verdicts == "tcp://127.0.0.1:5556"


@pytest.mark.parametrize(
    ("camera", "deadline_ms"),
    [
        ("mode: triggered", 1000.0),
        ("mode: triggered, deadline_ms: 80", 80.0),
        ("mode: free_run", None),
        ("mode: triggered, deadline_ms: null", None),
    ],
)
def test_a_trigger_has_a_deadline_unless_told_otherwise(
    tmp_path: Path, camera: str, deadline_ms: float | None
) -> None:
    text = MINIMAL.replace('rate=30"', f'rate=30", {camera}')
    assert load_station(write(tmp_path, text)).camera.deadline_ms == deadline_ms


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        # an unknown key, at the top and inside a section
        ("journal:", "jurnal:", "unknown key jurnal (known here: station, product"),
        ("site: plant1", "site: plant1, plant: 2", "unknown key station.plant (known here: site"),
        # a missing key, a missing section
        ("name: st7", "", "the key station.name is missing"),
        (
            "journal: {path: journal.db}",
            "",
            "the key journal is missing: the durable record, such as {path: journal.db}",
        ),
        # wrong types are not converted
        (
            'uri: "synthetic://?rate=30"',
            "uri: 7",
            "camera.uri: input should be a valid string, got 7: write it in quotes",
        ),
        (
            "{path: journal.db}",
            "{path: j.db, max_mb: '9999'}",
            "journal.max_mb: input should be a valid number, got '9999': write it without quotes",
        ),
        ("{path: journal.db}", "journal.db", "journal: expected a section with the keys path"),
        ('rate=30"', 'rate=30", deadline_ms: -1', "camera.deadline_ms: input should be greater"),
        ('rate=30"', 'rate=30", deadline_ms: .nan', "camera.deadline_ms: input should be"),
        (
            'rate=30"',
            'rate=30", mode: loop',
            "camera.mode: input should be",
        ),
        # a name that would break a topic
        (
            "line: line3",
            "line: a/b",
            "station.line: expected the production line, in letters, digits",
        ),
        # endpoints
        ("journal:", 'publish: {verdicts: "127.0.0.1:5556"}\njournal:', "expected tcp://HOST:PORT"),
        ("journal:", 'publish: {verdicts: "tcp://127.0.0.1:0"}\njournal:', "expected tcp://HOST"),
        ("journal:", 'publish: {replay: "tcp://0.0.0.0:5557"}\njournal:', "open to other machines"),
        ("journal:", 'publish: {commands: "tcp://st7:5558"}\njournal:', "names a host"),
        (
            "journal:",
            'publish: {verdicts: "tcp://127.0.0.1:5557"}\njournal:',
            "publish: verdicts, replay and commands need an endpoint each",
        ),
        # not YAML, not a mapping
        ("journal: {path", "journal: {{path", "is not YAML at line"),
        (MINIMAL, "- a list", "the file: expected a section with the keys station, product"),
        (MINIMAL, "", "the file: expected a section"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in MINIMAL
    path = write(tmp_path, MINIMAL.replace(old, new))
    with pytest.raises(InputError) as refused:
        load_station(path)
    assert message in str(refused.value)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_with_keys_other_machines_may_connect(tmp_path: Path) -> None:
    text = MINIMAL + 'publish: {verdicts: "tcp://0.0.0.0:5556"}\nkeys: keys\n'
    station = load_station(write(tmp_path, text))
    assert station.keys == tmp_path / "keys"


def test_a_missing_file_and_a_binary_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read the station file"):
        load_station(tmp_path / "none.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not UTF-8"):
        load_station(tmp_path / "binary.yaml")
