"""What a person has written in a file is what it shows, or is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field

from agent.errors import InputError
from agent.section import FilePath, Section, read_yaml


class Product(Section):
    bundle: FilePath


class Camera(Section):
    deadline_ms: float = 0.0
    name: str = ""
    pending: int = 0
    uri: str = Field("file://", pattern="^file://", description="file:// with a film")


class Station(Section):
    camera: Camera
    second: Camera = Camera()


def read(folder: Path, bundle: str) -> Path:
    path = folder / "product.yaml"
    path.write_text(f"bundle: {bundle}")
    return read_yaml(path, Product, "product file").bundle


def test_a_path_begins_at_the_folder_of_its_file_or_at_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/operator")
    assert read(tmp_path, "tile.nlb") == tmp_path / "tile.nlb"
    assert read(tmp_path, "/data/tile.nlb") == Path("/data/tile.nlb")
    assert read(tmp_path, "~/tile.nlb") == Path("/home/operator/tile.nlb")


def test_an_error_repeats_no_more_of_a_file_than_a_line(tmp_path: Path) -> None:
    """Aliases of aliases made megabytes of it."""
    path = tmp_path / "product.yaml"
    lines = ["bundle:", "- &a0 [x, y]"]
    lines += [f"- &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 6)]
    path.write_text("\n".join(lines))
    with pytest.raises(InputError, match="bundle: input is not a valid path") as refused:
        read_yaml(path, Product, "product file")
    assert len(str(refused.value)) < 500


def test_the_home_of_a_user_who_is_not_here_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="bundle: ~nosuchuser/x.nlb: there is no such user here"):
        read(tmp_path, "~nosuchuser/x.nlb")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "camera:\n  deadline_ms: 80\n  name: a\n  deadline_ms: 8000\n",
            r"is not a station: the key 'deadline_ms' is given twice \(lines 2, 4\)$",
        ),
        ("camera: {name: a}\ncamera: {deadline_ms: 9}\n", "the key 'camera' is given twice"),
    ],
)
def test_a_key_given_twice_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """The last one counted: a deadline of 8 s, or a section without what the first one says."""
    path = tmp_path / "station.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_yaml(path, Station, "station")


def test_what_is_merged_into_a_section_may_be_said_otherwise_there(tmp_path: Path) -> None:
    path = tmp_path / "station.yaml"
    path.write_text(
        "camera: &one\n  <<: {deadline_ms: 9}\n  deadline_ms: 80\nsecond: {<<: *one, name: b}\n"
    )
    station = read_yaml(path, Station, "station")
    assert (station.camera.deadline_ms, station.second.deadline_ms) == (80, 80)


@pytest.mark.parametrize("number", ["0100", "1:30", "0x50", "0b11", "1:30.5", "1_0", "010.5"])
def test_a_number_that_is_not_what_it_shows_is_refused(tmp_path: Path, number: str) -> None:
    """A deadline of 0100 was 64 ms, and one of 1:30 was 90."""
    path = tmp_path / "station.yaml"
    path.write_text(f"camera: {{deadline_ms: {number}}}")
    with pytest.raises(InputError, match=f"deadline_ms: input should be .*, got '{number}'"):
        read_yaml(path, Station, "station")


@pytest.mark.parametrize(
    ("text", "number"),
    [("80", 80), ("-7", -7), ("+0", 0), ("0.5", 0.5), (".5", 0.5), ("8.", 8), ("1.5e+3", 1500)],
)
def test_decimal_numbers_are_read(tmp_path: Path, text: str, number: float) -> None:
    path = tmp_path / "station.yaml"
    path.write_text(f"camera: {{deadline_ms: {text}, name: 0100}}")
    camera = read_yaml(path, Station, "station").camera
    assert (camera.deadline_ms, camera.name) == (number, "0100")


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("name: 7", "got 7: write it in quotes"),
        ("name: yes", "got True: write it in quotes"),
        ("name: 2026-01-01", "got datetime.date(2026, 1, 1): write it in quotes"),
        ("name: [a]", "got ['a']"),
        ("name:", "got None"),
        ("deadline_ms: '200'", "got '200': write it without quotes"),
        ("pending: '8'", "got '8': write it without quotes"),
        ("deadline_ms: 200ms", "got '200ms': write a number, such as 80"),
        ("deadline_ms: '0x50'", "got '0x50': write a number, such as 80"),
        ("uri: film.mp4", "camera.uri: expected file:// with a film, got 'film.mp4'"),
    ],
)
def test_a_wrong_value_is_refused_with_what_to_write(tmp_path: Path, text: str, end: str) -> None:
    """The engineer read a regular expression, or that 200 is no number."""
    path = tmp_path / "station.yaml"
    path.write_text(f"camera:\n  {text}\n")
    with pytest.raises(InputError) as refused:
        read_yaml(path, Station, "station")
    assert str(refused.value).endswith(end)
