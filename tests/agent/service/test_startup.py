"""What a station file says reaches what it is for, and what ends ends the station."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any, cast

import pytest

from agent.camera import Settings
from agent.errors import InputError
from agent.journal import Journal
from agent.messaging.door import Door
from agent.messaging.replay import ReplayServer
from agent.record import read_record, write_record
from agent.service import run_station, startup
from tests.agent.service.process import change_station, write_station

TRIGGERED = {"uri": "synthetic://", "mode": "triggered"}


class NoCamera:
    """Stands in for `Capture`."""

    settings: Settings = {"exposure": 157}
    last_beat_ns = 0

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __enter__(self) -> NoCamera:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def start(self) -> None:
        pass


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """What each part of a station is made from; none comes further than to its line."""
    found: dict[str, dict[str, Any]] = {}

    def noted(name: str, make: Callable[..., object]) -> None:
        def note(*arguments: object, **options: object) -> object:
            found[name] = dict(signature(make).bind(*arguments, **options).arguments)
            return make(*arguments, **options)

        monkeypatch.setattr(startup, name, note)

    def no_line(_: object) -> None:
        raise InputError("as far as the line")

    monkeypatch.setattr(startup, "Capture", NoCamera)
    for name in ("Capture", "Equipment", "EvidenceStore", "Faults", "Recipe", "Results"):
        noted(name, getattr(startup, name))
    noted("open_journal", startup.open_journal)
    monkeypatch.setattr(startup, "Line", no_line)
    return found


def make(station: Path) -> None:
    with pytest.raises(InputError, match="as far as the line"):
        run_station(station, lambda _: pytest.fail("it is ready"))


def test_the_log_tells_what_a_bundle_of_an_earlier_version_lacks(
    tmp_path: Path, given: dict[str, dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    make(write_station(tmp_path, TRIGGERED))
    assert "the bundle: its model was trained on pictures that were shrunk otherwise" in caplog.text


def test_every_setting_reaches_what_it_is_for(
    tmp_path: Path, given: dict[str, dict[str, Any]]
) -> None:
    """A deadline or a stop that is written down and not kept is worse than none."""
    camera = {**TRIGGERED, "deadline_ms": 80.0, "pending_limit": 3}
    station = write_station(tmp_path, camera)
    journal = {"on_fault": "stop", "acknowledged_days": 2, "max_mb": 50}
    change_station(station, journal=journal)
    with station.open("a") as file:
        file.write("evidence: {path: pictures, keep: all, max_mb: 70, min_free_mb: 1}\n")
    make(station)
    equipment = given["Equipment"]
    assert (equipment["mode"], equipment["deadline_ms"]) == ("triggered", 80.0)
    assert equipment["pending_limit"] == 3
    assert given["Faults"] == {"stop_without_journal": True}
    retention = given["open_journal"]["retention"]
    assert (retention.acknowledged_days, retention.max_mb) == (2, 50)
    assert given["open_journal"]["on_fault"] == "stop"
    assert given["Results"]["evidence"] is not None
    evidence = given["EvidenceStore"]
    assert (evidence["keep"], evidence["max_mb"], evidence["min_free_mb"]) == ("all", 70, 1)
    recipe = given["Recipe"]
    assert recipe["topic"] == b"v1/plant1/line3/st7/verdict/tiny/"
    assert recipe["late_topic"] == b"v1/plant1/line3/st7/late/tiny/"


@pytest.mark.parametrize(
    ("uri", "simulated"),
    [
        ("synthetic://?rate=5", True),
        ("folder:///parts", True),
        ("file:///parts.mp4", True),
        ("v4l2:///dev/video0", False),
        ("rtsp://10.0.0.2/stream", False),
    ],
)
def test_only_what_a_camera_takes_now_is_not_simulated(
    tmp_path: Path, given: dict[str, dict[str, Any]], uri: str, simulated: bool
) -> None:
    """A gate opens for no other: what was recorded says nothing of the part before it."""
    make(write_station(tmp_path, {**TRIGGERED, "uri": uri, "latency_ms": 300}))
    assert given["Recipe"]["simulated"] is simulated


def test_a_stream_shows_the_part_before_unless_its_latency_is_known(
    tmp_path: Path, given: dict[str, dict[str, Any]]
) -> None:
    """What it sent as the trigger came was some 300 ms old, and passed another part."""
    for uri in ("rtsp://10.0.0.2/stream", "rtsps://10.0.0.2/stream", "RTSP://10.0.0.2/stream"):
        station = write_station(tmp_path, {**TRIGGERED, "uri": uri})
        with pytest.raises(InputError, match=r"give it as camera\.latency_ms$"):
            run_station(station, lambda _: None)
    make(write_station(tmp_path, {**TRIGGERED, "uri": uri, "latency_ms": 300.0}))
    assert given["Capture"]["__"]["latency_ms"] == 300.0
    make(write_station(tmp_path, {"uri": uri, "mode": "free_run"}))


@pytest.mark.parametrize(
    ("uri", "said"),
    [("v4l2:///dev/video0", "exposure 157 instead of 100"), ("synthetic://", "as far as")],
)
def test_a_camera_that_is_set_otherwise_makes_no_station(
    tmp_path: Path, given: dict[str, dict[str, Any]], uri: str, said: str
) -> None:
    station = write_station(tmp_path, {**TRIGGERED, "uri": uri})
    path = tmp_path / "tiny.cal.json"
    settings: Settings = {"exposure": 100}
    record = read_record(path).model_copy(update={"camera_settings": settings})
    write_record(path, record)
    with pytest.raises(InputError, match=said):
        run_station(station, lambda _: None)


def test_who_names_a_folder_of_keys_has_a_door_that_asks_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path | None] = []

    def door(_: object, keys: Any) -> None:
        asked.append(keys and keys.folder)
        raise InputError("as far as the door")

    monkeypatch.setattr(startup, "Door", door)
    monkeypatch.setattr(startup, "Capture", NoCamera)
    station = write_station(tmp_path, TRIGGERED)
    for _ in range(2):
        with pytest.raises(InputError, match="as far as the door"):
            run_station(station, lambda _: None)
        station.write_text(f"{station.read_text()}keys: keys\n")
    assert asked == [None, tmp_path / "keys"]


@pytest.mark.parametrize("part", [Door, ReplayServer, Journal])
def test_a_station_whose_door_or_replay_or_journal_has_ended_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: type
) -> None:
    """It would go on, and nobody could fetch what was missed, or come in."""
    station = write_station(tmp_path, {"uri": "synthetic://?rate=30&parts=20"})
    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="a thread"):
        patch.setattr(part, "alive", cast(Any, property(lambda _: False)))
        run_station(station, lambda _: None)
