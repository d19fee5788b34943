"""Another calibration for a running station, and the way back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import yaml

from agent.camera import Settings, settings_digest
from agent.client import Event, Subscriber
from agent.keys import KeyFolder, Role
from agent.messaging.status import Heartbeat
from agent.record import SCHEMA, Review, read_record, write_record
from calibration.evidence import Promise
from calibration.history import (
    former_records,
    replace_record,
)
from calibration.normals import Normals
from calibration.recalibrate import _warn_if_chosen, promise_of
from tests.agent.service.process import StationProcess, change_station
from tests.calibration.command import normline, write_parts

NOISE = np.random.default_rng(0).normal(size=(64, 64, 3))


@pytest.fixture
def line(station: Path, tmp_path: Path) -> Path:
    """Its station file, where good parts pass without end."""
    passing = write_parts(tmp_path / "passing", 1, 200)
    change_station(station, camera={"uri": f"folder://{passing}?rate=100&loop=true"})
    return station


def test_new_parts_are_folded_in_and_the_old_record_can_be_put_back(
    line: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tiny.cal.json"
    before = read_record(path)
    confirmed = write_parts(tmp_path / "confirmed", 3, 20)
    with StationProcess(line) as process:
        assert normline("recalibrate", line, confirmed, "--note", "week 2") == 0
        assert "the station has taken it over" in capsys.readouterr().out
        after = read_record(path)
        assert (after.n, after.note) == (80, "week 2")
        assert set(before.scores) < set(after.scores)
        assert after.threshold == after.scores[-4]
        (former,) = former_records(path)
        assert former.record == before
        assert normline("recalibrate", line, "--list") == 0
        listed = capsys.readouterr().out
        assert former.name in listed and "in force" in listed and "week 2" in listed
        assert normline("recalibrate", line, "--restore", former.name[:6]) == 0
        assert "the station has taken it over" in capsys.readouterr().out
        assert read_record(path) == before
        assert {each.record.sha256 for each in former_records(path)} == {
            before.sha256,
            after.sha256,
        }
        assert process.terminate() == 0


def test_without_a_station_it_is_for_the_next_start(
    station: Path, tmp_path: Path, nobody_answers: None, capsys: pytest.CaptureFixture[str]
) -> None:
    confirmed = write_parts(tmp_path / "confirmed", 3, 40)
    assert normline("recalibrate", station, confirmed, "--replace") == 0
    assert "from the next start on" in capsys.readouterr().out
    assert read_record(tmp_path / "tiny.cal.json").n == 40


def test_pictures_that_are_in_the_record_already_count_once(
    station: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = read_record(tmp_path / "tiny.cal.json")
    assert normline("recalibrate", station, tmp_path / "normals") == 2
    assert "holds no new part" in capsys.readouterr().err
    assert read_record(tmp_path / "tiny.cal.json") == before


def test_the_parts_that_set_a_new_limit_are_named(
    station: Path, tmp_path: Path, nobody_answers: None, capsys: pytest.CaptureFixture[str]
) -> None:
    new = write_parts(tmp_path / "new", 3, 40)
    report = tmp_path / "r.json"
    options = ("--replace", "--report", report)
    assert normline("recalibrate", station, new, *options) == 0
    said = capsys.readouterr().err
    assert "is set by the largest scores: " in said and str(new) in said
    rough = write_parts(tmp_path / "rough", 4, 1, lambda f: np.clip(f + 12 * NOISE, 0, 255))
    assert normline("recalibrate", station, rough) == 0
    assert f"is set by the largest scores: {rough / '000.png'} (" in capsys.readouterr().err


def test_parts_picked_from_the_rejects_are_pointed_out(
    station: Path, tmp_path: Path, nobody_answers: None, capsys: pytest.CaptureFixture[str]
) -> None:
    noise = np.random.default_rng(0)
    rough = write_parts(
        tmp_path / "rough", 4, 10, lambda f: np.clip(f + noise.normal(0, 12, f.shape), 0, 255)
    )
    assert normline("recalibrate", station, rough) == 0
    assert "10 of 10 new parts are above the limit in force" in capsys.readouterr().err


def test_what_chance_explains_is_not_pointed_out(
    station: Path, tmp_path: Path, nobody_answers: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rate promised is a mean: with nothing wrong, the warning came forty times too often."""
    path = tmp_path / "tiny.cal.json"
    before = read_record(path)
    new = write_parts(tmp_path / "new", 3, 32)
    write_parts(new / "rough", 4, 8, lambda f: np.clip(f * 1.0 + 12 * NOISE, 0, 255))
    assert normline("recalibrate", station, new) == 0
    after = read_record(path)
    above = sum(score > before.threshold for score in after.scores) - 2
    assert after.n == 100 and 8 <= above <= 10  # a binomial gives 8 of 40 one chance in 1,500
    assert "above the limit in force" not in capsys.readouterr().err


def test_one_new_part_does_not_say_that_pictures_repeat_each_other(
    station: Path, tmp_path: Path, nobody_answers: None
) -> None:
    """It had no picture before it to differ from; a frozen camera was passed from then on."""
    new = write_parts(tmp_path / "new", 3, 1)
    assert normline("recalibrate", station, new) == 0
    record = read_record(tmp_path / "tiny.cal.json")
    assert record.n == 61 and record.picture is not None
    assert record.picture.difference.percentile(0) > 0


def test_a_station_with_keys_is_not_changed_without_one_to_hear_it(
    station: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A record that it had refused stayed in the file: the next start failed, until when the line
    ran on the old limit, and the words were "no station is heard".
    """
    path, keys = tmp_path / "tiny.cal.json", KeyFolder(tmp_path / "keys")
    keys.make()
    keys.admit("mes", frozenset({Role.READ}), tmp_path / "mes.key")
    station.write_text(f"{station.read_text()}keys: keys\n")
    before = path.read_bytes()
    for key, message in (
        ((), "has keys: without one nobody hears whether the station takes the record over"),
        (("--key", tmp_path / "none.key"), "cannot read"),
    ):
        assert normline("recalibrate", station, tmp_path / "nowhere", *key) == 2
        assert message in capsys.readouterr().err
        assert normline("recalibrate", station, "--confirm", *key) == 2
        assert path.read_bytes() == before
    assert normline("recalibrate", station, "--list") == 0


def test_who_is_not_heard_may_not_admit_the_key(
    station: Path, tmp_path: Path, nobody_answers: None, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = KeyFolder(tmp_path / "keys")
    keys.make()
    keys.admit("mes", frozenset({Role.READ}), tmp_path / "mes.key")
    station.write_text(f"{station.read_text()}keys: keys\n")
    assert normline("recalibrate", station, "--confirm", "--key", tmp_path / "mes.key") == 0
    said = capsys.readouterr().out
    assert "does it admit this key?): it is used from the next start on" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["v4l2:///dev/video0"], "is a camera: give a folder"),
        ([], "give one of IMAGES, --list, --restore and --confirm"),
        (["--confirm", "--list"], "give one of"),
        (["--restore", "ffff"], "no former calibration begins with ffff"),
        (["nowhere"], "is not a folder"),
    ],
)
def test_what_makes_no_sense_is_one_line(
    station: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert normline("recalibrate", station, *arguments) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("named", [True, False], ids=["settings", "digest alone"])
def test_new_parts_leave_the_camera_as_it_was_calibrated(
    station: Path, tmp_path: Path, nobody_answers: None, named: bool
) -> None:
    """Without its settings the station would take a camera with any exposure from then on."""
    path = tmp_path / "tiny.cal.json"
    settings: Settings = {"exposure": 157, "gain": 0}
    taken = {
        "camera_settings": settings if named else None,
        "camera_settings_digest": settings_digest(settings),
    }
    replace_record(path, read_record(path).model_copy(update=taken))
    assert normline("recalibrate", station, write_parts(tmp_path / "new", 3, 5)) == 0
    after = read_record(path)
    assert after.n == 65
    assert {name: getattr(after, name) for name in taken} == taken
    if not named:
        assert (
            normline("recalibrate", station, write_parts(tmp_path / "all", 4, 40), "--replace") == 0
        )
        assert read_record(path).camera_settings_digest is None


@pytest.mark.parametrize("short", [False, True], ids=["kept", "best effort"])
def test_what_is_promised_again_is_what_was_promised(
    station: Path, tmp_path: Path, short: bool
) -> None:
    """Another rate, or on average alone, is not what the line was told."""
    record = read_record(tmp_path / "tiny.cal.json")
    band = Review(requested_rate=0.1, reject_above=record.threshold, stopped_rate=0.2)
    made = {"confidence": 0.95, "review": band, "supported_false_reject_rate": 0.04 + 0.02 * short}
    found = promise_of(record.model_copy(update=made))
    assert found == Promise(0.05, 0.95, 0.1, best_effort=short)


def test_who_confirms_a_record_of_before_keeps_its_note(
    station: Path, tmp_path: Path, nobody_answers: None
) -> None:
    """An older normline must call what it cannot read a newer one's."""
    path = tmp_path / "tiny.cal.json"
    before = read_record(path).model_copy(update={"schema_version": 2, "note": "lamp B"})
    write_record(path, before)
    assert normline("recalibrate", station, "--confirm") == 0
    after = read_record(path)
    assert (after.schema_version, after.note) == (SCHEMA, "lamp B")
    assert normline("recalibrate", station, write_parts(tmp_path / "new", 3, 5)) == 0
    assert read_record(path).note == "lamp B"


def test_too_few_parts_to_replace_the_others_are_refused_before_they_are_scored(
    station: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("calibration.session.load_engine", None)
    few = write_parts(tmp_path / "few", 3, 5)
    assert normline("recalibrate", station, few, "--replace") == 2
    assert "5 normal samples cannot support" in capsys.readouterr().err


def test_parts_of_the_review_band_are_not_taken_for_picked_rejects(
    station: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rate that was promised is of those above the band."""
    record = read_record(tmp_path / "tiny.cal.json")
    band = Review(requested_rate=0.1, reject_above=record.scores[-1], stopped_rate=0.2)
    banded = record.model_copy(update={"threshold": record.scores[-9], "review": band})
    for score, warned in ((record.scores[-2], False), (record.scores[-1] + 1, True)):
        parts = SimpleNamespace(parts=[SimpleNamespace(score=score)] * 10)
        _warn_if_chosen(cast(Normals, parts), banded)
        assert ("above the limit in force" in capsys.readouterr().err) == warned


def test_a_report_is_not_written_over_the_record(
    station: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tiny.cal.json"
    content = path.read_bytes()
    confirmed = write_parts(tmp_path / "confirmed", 3, 10)
    assert normline("recalibrate", station, confirmed, "--report", path) == 2
    assert f"cannot write {path}" in capsys.readouterr().err
    assert path.read_bytes() == content


def test_a_record_that_is_confirmed_is_one_of_this_normline(
    station: Path, tmp_path: Path, nobody_answers: None
) -> None:
    """Under its old schema it could hold what that schema has not."""
    path = tmp_path / "tiny.cal.json"
    older = read_record(path).model_copy(update={"schema_version": SCHEMA - 1})
    replace_record(path, older)
    assert normline("recalibrate", station, "--confirm") == 0
    confirmed = read_record(path)
    assert confirmed.schema_version == SCHEMA and confirmed.confirmed_at is not None
    assert (confirmed.scores, confirmed.threshold) == (older.scores, older.threshold)
    assert confirmed.sha256 != older.sha256


def test_other_settings_of_the_camera_are_pointed_out(
    station: Path, tmp_path: Path, nobody_answers: None, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tiny.cal.json"
    before, after = (
        read_record(path).model_copy(update={"camera_settings": settings})
        for settings in ({"exposure": 157, "gain": 0}, {"exposure": 200, "gain": 0})
    )
    replace_record(path, before)
    replace_record(path, after)
    assert normline("recalibrate", station, "--confirm") == 0
    assert "warning" not in capsys.readouterr().err
    assert normline("recalibrate", station, "--restore", before.sha256[:8]) == 0
    assert "warning: it was taken with another exposure of the camera" in capsys.readouterr().err


def test_a_running_station_refuses_a_record_of_another_bundle_or_engine(
    line: Path, tmp_path: Path
) -> None:
    path = tmp_path / "tiny.cal.json"
    record = read_record(path)
    scored_otherwise = [score + 0.5 for score in record.golden_scores]
    with StationProcess(line) as process, Subscriber(process.publish["verdicts"]) as heard:
        for change, why in (
            ({"bundle_sha256": "f" * 64}, "bundle ffffffffffff instead of"),
            ({"golden_scores": scored_otherwise}, "golden frames differ by 0.5, at most"),
        ):
            write_record(path, record.model_copy(update=change))
            beats = follow(heard, lambda event, why=why: why in process.stderr())
            assert beats  # and it goes on
        assert process.stderr().count("stays in force") == 2


def test_an_engine_that_scores_otherwise_adds_no_parts_and_brings_no_record_back(
    station: Path, tmp_path: Path, nobody_answers: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same in name after a change of the machine: its scores are no match for the former."""
    path = tmp_path / "tiny.cal.json"
    record = read_record(path)
    otherwise = record.model_copy(
        update={"golden_scores": [score - 0.5 for score in record.golden_scores]}
    )
    replace_record(path, otherwise)
    new = write_parts(tmp_path / "new", 3, 1)
    assert normline("recalibrate", station, new) == 2
    assert "golden frames differ by 0.5" in capsys.readouterr().err
    replace_record(path, record)
    assert normline("recalibrate", station, "--restore", otherwise.sha256[:8]) == 2
    assert "golden frames differ by 0.5" in capsys.readouterr().err
    assert read_record(path) == record


def test_a_lamp_that_fades_raises_drift_until_it_is_said_to_be_mended(
    line: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = read_record(tmp_path / "tiny.cal.json")
    bright = yaml.safe_load(line.read_text())["camera"]["uri"]
    dim = write_parts(tmp_path / "dim", 5, 200, lambda frame: frame * 0.8)
    change_station(line, camera={"uri": f"folder://{dim}?rate=100&loop=true"})
    with StationProcess(line) as process, Subscriber(process.publish["verdicts"]) as heard:
        follow(heard, lambda event: drift_of(event) == "DRIFT")
        process.kill()
    change_station(line, camera={"uri": bright})
    with StationProcess(line) as process, Subscriber(process.publish["verdicts"]) as heard:
        beat = follow(heard, lambda event: drift_of(event) is not None)[-1]
        assert isinstance(beat, Heartbeat) and beat.drift is not None
        assert beat.drift.state == "DRIFT"  # after a power cut, and with a new lamp
        assert beat.drift.changes[0] == "darker by 20%"
        assert normline("recalibrate", line, "--confirm", "--note", "new lamp") == 0
        assert "the station has taken it over" in capsys.readouterr().out
        follow(heard, lambda event: drift_of(event) == "IN_CONTROL")
    after = read_record(tmp_path / "tiny.cal.json")
    assert (after.threshold, after.scores) == (before.threshold, before.scores)
    assert normline("recalibrate", line, "--list") == 0
    assert f"confirmed {after.confirmed_at}  new lamp" in capsys.readouterr().out


def drift_of(event: Event) -> str | None:
    """The state that a heartbeat tells of."""
    heard = isinstance(event, Heartbeat) and event.drift
    return heard.state if heard else None


def follow(subscriber: Subscriber, enough: Callable[[Event], bool]) -> list[Event]:
    """Events until one is enough, at most 40 s long."""
    events: list[Event] = []
    for event in subscriber:
        events.append(event)
        if enough(event):
            return events
        assert len(events) < 4000, "not in 40 s at 100 parts a second"
    return events
