"""Another calibration for a running station, and the way back."""

from __future__ import annotations

import shutil
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import cv2
import numpy as np
import pytest
import yaml

from agent.camera import Settings, settings_digest
from agent.cli import main
from agent.client import Event, Subscriber
from agent.errors import InputError
from agent.messaging.status import Heartbeat
from agent.record import SCHEMA, Review, read_record, write_record
from calibration import history
from calibration.evidence import Promise
from calibration.history import (
    find_former,
    former_records,
    history_of,
    on_trial,
    replace_record,
)
from calibration.normals import Normals
from calibration.recalibrate import _warn_if_chosen, promise_of
from tests.agent.conftest import free_endpoint
from tests.agent.factories import make_heartbeat
from tests.agent.service.process import RUNTIME, StationProcess, change_station, write_station
from tests.tiny import tiny_frames

NOISE = np.random.default_rng(0).normal(size=(64, 64, 3))


def write_parts(folder: Path, seed: int, count: int, bend: Callable = lambda f: f) -> Path:
    """A folder of good parts."""
    folder.mkdir()
    for index, frame in enumerate(tiny_frames(2 * count, (64, 64), seed)[0::2]):
        assert cv2.imwrite(str(folder / f"{index:03}.png"), bend(frame))
    return folder


def normline(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as stopped:
        main([str(argument) for argument in arguments])
    return int(stopped.value.code or 0)


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a station that was calibrated on 60 good parts."""
    folder = tmp_path_factory.mktemp("calibrated")
    write_station(folder, {"uri": "synthetic://"})
    normals = write_parts(folder / "normals", 2, 60)
    options = ("--false-reject-rate", "5%", "--runtime", RUNTIME, "--precision", "fp32")
    record = folder / "tiny.cal.json"
    record.unlink()  # else it would be in the history
    assert normline("calibrate", folder / "tiny.nlb", normals, *options, "--out", record) == 0
    return folder


@pytest.fixture
def station(calibrated: Path, tmp_path: Path) -> Path:
    """Its station file."""
    shutil.copytree(calibrated, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "station.yaml"
    endpoints = {name: free_endpoint() for name in ("verdicts", "replay", "commands")}
    change_station(path, publish=endpoints)
    return path


@pytest.fixture
def line(station: Path, tmp_path: Path) -> Path:
    """Its station file, where good parts pass without end."""
    passing = write_parts(tmp_path / "passing", 1, 200)
    change_station(station, camera={"uri": f"folder://{passing}?rate=100&loop=true"})
    return station


@pytest.fixture
def nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """No station runs, so that there is nothing to wait for."""
    monkeypatch.setattr("calibration.recalibrate.HEAR_S", 0.1)


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


def test_a_former_record_of_another_model_is_not_put_back(
    station: Path, tmp_path: Path, nobody_answers: None, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tiny.cal.json"
    record = read_record(path)
    foreign = record.model_copy(update={"bundle_sha256": "f" * 64})
    replace_record(path, foreign)
    replace_record(path, record)
    assert normline("recalibrate", station, "--restore", foreign.sha256[:8]) == 2
    assert "was made with bundle ffffffffffff instead of" in capsys.readouterr().err
    older = record.engine.model_copy(update={"version": "1.0"})
    replace_record(path, foreign := record.model_copy(update={"engine": older}))
    replace_record(path, record)
    assert normline("recalibrate", station, "--restore", foreign.sha256[:8]) == 2
    assert "version 1.0 instead of" in capsys.readouterr().err
    assert read_record(path) == record


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


class Unmoved:
    """A station that is heard, and goes on with the calibration that it has."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __enter__(self) -> Unmoved:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def receive(self, timeout_s: float) -> Heartbeat:
        return make_heartbeat()


@pytest.mark.parametrize("how", ["new", "replace", "restore", "confirm", "key"])
def test_what_the_station_refuses_does_not_wait_for_its_next_start(
    station: Path,
    tmp_path: Path,
    nobody_answers: None,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    """It would be refused there too, and the line would stand."""
    path = tmp_path / "tiny.cal.json"
    record = read_record(path)
    replace_record(path, former := record.model_copy(update={"note": "last week"}))
    replace_record(path, record)
    content = path.read_bytes()
    message = "the former one is in the file again"
    if how == "key":
        message = "cannot read"
    else:
        monkeypatch.setattr("calibration.recalibrate.Subscriber", Unmoved)
    arguments: dict[str, list[str | Path]] = {
        "new": [write_parts(tmp_path / "new", 3, 5)],
        "replace": [write_parts(tmp_path / "all", 4, 30), "--replace"],
        "restore": ["--restore", former.sha256[:8]],
        "confirm": ["--confirm"],
        "key": ["--confirm", "--key", tmp_path / "none.key"],
    }
    assert normline("recalibrate", station, *arguments[how]) == 2
    assert message in capsys.readouterr().err
    assert path.read_bytes() == content


@pytest.mark.parametrize("asks", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_who_interrupts_the_wait_for_the_station_leaves_the_former_record(
    station: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    asks: signal.Signals,
) -> None:
    """The new one stayed, taken over by nobody, for the next start to find."""
    path = tmp_path / "tiny.cal.json"
    content = path.read_bytes()

    class Interrupted(Unmoved):
        def receive(self, timeout_s: float) -> Heartbeat:
            assert path.read_bytes() != content
            signal.raise_signal(asks)
            return make_heartbeat()

    monkeypatch.setattr("calibration.recalibrate.Subscriber", Interrupted)
    assert normline("recalibrate", station, "--confirm") == 130
    assert f"interrupted: {path} is again as it was" in capsys.readouterr().err
    assert path.read_bytes() == content


def test_a_record_that_another_command_put_in_force_meanwhile_stays(
    station: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Parts were folded into the record that --restore had just taken out of force."""
    path = tmp_path / "tiny.cal.json"
    meanwhile = read_record(path).model_copy(update={"note": "meanwhile"})

    def replaced_first(*_: object) -> None:
        replace_record(path, meanwhile)

    # The last that is done before the new record is put in force.
    monkeypatch.setattr("calibration.recalibrate._warn_of_settings", replaced_first)
    confirmed = write_parts(tmp_path / "confirmed", 3, 10)
    assert normline("recalibrate", station, confirmed) == 2
    assert f"another command has replaced {path} meanwhile" in capsys.readouterr().err
    assert read_record(path) == meanwhile


def test_two_commands_at_once_replace_the_record_one_after_the_other(
    station: Path, tmp_path: Path
) -> None:
    """What one puts back must not be put back over what the other has put in force."""
    path = tmp_path / "tiny.cal.json"
    record = read_record(path)
    second = record.model_copy(update={"note": "second"})
    began = threading.Event()

    def replace() -> None:
        began.set()
        replace_record(path, second)

    other = threading.Thread(target=replace)
    first = record.model_copy(update={"note": "first"})
    with pytest.raises(InputError, match="refused"), on_trial(path, first, record):
        other.start()
        assert began.wait(40)
        other.join(0.2)
        assert read_record(path) == first
        raise InputError("refused by the station")
    other.join(40)
    assert read_record(path) == second
    assert [each.record for each in former_records(path)] == [record]


def test_a_name_that_two_former_records_begin_with_puts_neither_back(
    station: Path, tmp_path: Path
) -> None:
    path = tmp_path / "tiny.cal.json"
    record = read_record(path)
    for note in ("week 2", "week 3"):
        replace_record(path, record.model_copy(update={"note": note}))
    with pytest.raises(InputError, match="several former calibrations begin with"):
        find_former(path, "")
    assert find_former(path, record.sha256[:9].upper()) == record


def test_every_file_that_somebody_has_edited_is_kept(station: Path, tmp_path: Path) -> None:
    path = tmp_path / "tiny.cal.json"
    record, edited = read_record(path), ["{}", "[]"]
    for content in edited:
        path.write_text(content)
        replace_record(path, record)
    kept = [each.read_text() for each in history_of(path).iterdir()]
    assert set(edited) <= set(kept)


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


def test_a_former_record_that_cannot_be_kept_stays_in_force(station: Path, tmp_path: Path) -> None:
    path = tmp_path / "tiny.cal.json"
    record = read_record(path)
    history_of(path).touch()
    other = record.model_copy(update={"note": "other"})
    with pytest.raises(InputError, match="cannot keep the former calibration"):
        replace_record(path, other)
    with (
        pytest.raises(InputError, match="cannot keep the former calibration"),
        on_trial(path, other, record),
    ):
        pytest.fail("it is in force")
    assert read_record(path) == record


def test_where_there_was_no_record_a_refused_one_does_not_stay(
    station: Path, tmp_path: Path
) -> None:
    """The next start would find what the station has just refused."""
    path = tmp_path / "tiny.cal.json"
    record = read_record(path)
    path.unlink()
    with pytest.raises(InputError, match="refused"), on_trial(path, record, None):
        raise InputError("refused by the station")
    assert not path.exists()


def test_who_interrupts_twice_does_not_interrupt_the_putting_back(
    station: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody presses Ctrl-C once, and a terminal that closes says so twice."""
    path = tmp_path / "tiny.cal.json"
    record = read_record(path)
    write = history.write_atomically

    def interrupted_again(target: Path, data: bytes) -> None:
        if target == path:
            signal.raise_signal(signal.SIGINT)
        write(target, data)

    monkeypatch.setattr(history, "write_atomically", interrupted_again)
    other = record.model_copy(update={"note": "other"})
    with pytest.raises(KeyboardInterrupt), on_trial(path, other, record):
        signal.raise_signal(signal.SIGINT)
    assert read_record(path) == record


def test_former_records_are_listed_by_their_age(station: Path, tmp_path: Path) -> None:
    """Whoever takes the last of the list takes the one before."""
    path = tmp_path / "tiny.cal.json"
    record = read_record(path)
    days = [f"2026-01-0{day}T00:00:00+00:00" for day in range(1, 7)]
    dated = [record.model_copy(update={"created_at": day}) for day in days]
    dated.append(dated[-1].model_copy(update={"confirmed_at": "2026-01-09T00:00:00+00:00"}))
    for each in (*dated[::-1], record):
        replace_record(path, each)
    assert [each.record for each in former_records(path)[:7]] == dated


def test_a_former_record_is_put_back_where_there_is_none(
    station: Path, tmp_path: Path, nobody_answers: None
) -> None:
    path = tmp_path / "tiny.cal.json"
    replace_record(path, former := read_record(path).model_copy(update={"note": "week 2"}))
    replace_record(path, former.model_copy(update={"note": "week 3"}))
    path.unlink()
    assert normline("recalibrate", station, "--restore", former.sha256[:8]) == 0
    assert read_record(path) == former


def test_a_report_is_not_written_over_the_record(
    station: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tiny.cal.json"
    content = path.read_bytes()
    confirmed = write_parts(tmp_path / "confirmed", 3, 10)
    assert normline("recalibrate", station, confirmed, "--report", path) == 2
    assert f"cannot write {path}" in capsys.readouterr().err
    assert path.read_bytes() == content


def test_a_file_that_was_edited_makes_room_for_a_former_record(
    station: Path, tmp_path: Path, nobody_answers: None, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tiny.cal.json"
    record = read_record(path)
    replace_record(path, record.model_copy(update={"note": "week 2"}))
    edited = path.read_text().replace("week 2", "week 3")
    path.write_text(edited)
    assert normline("recalibrate", station, "--confirm") == 2
    assert "was changed after it was made" in capsys.readouterr().err
    assert normline("recalibrate", station, "--list") == 2
    listed = capsys.readouterr()
    assert record.sha256[:12] in listed.out and "was changed" in listed.err
    assert normline("recalibrate", station, "--restore", record.sha256[:8]) == 0
    assert read_record(path) == record
    assert edited in [each.read_text() for each in history_of(path).iterdir()]
    assert edited not in [each.path.read_text() for each in former_records(path)]


def test_what_a_newer_normline_made_is_put_back_by_that_one(
    station: Path,
    tmp_path: Path,
    nobody_answers: None,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After a rollback it was kept under a name that no later update looked for."""
    path = tmp_path / "tiny.cal.json"
    record = read_record(path)
    newer = record.model_copy(update={"schema_version": SCHEMA + 1})
    replace_record(path, newer)
    assert normline("recalibrate", station, "--restore", record.sha256[:8]) == 0
    assert normline("recalibrate", station, "--list") == 0
    assert f"is of schema {SCHEMA + 1}, this normline reads up to" in capsys.readouterr().err
    monkeypatch.setattr("agent.record.SCHEMA", SCHEMA + 1)
    for _ in range(2):  # kept twice by now, under two names
        assert normline("recalibrate", station, "--restore", newer.sha256[:8]) == 0
        assert read_record(path) == newer
        replace_record(path, record)
    assert len(former_records(path)) == 2


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


def test_a_former_record_that_was_edited_is_named_and_not_put_back(
    station: Path, tmp_path: Path, nobody_answers: None, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tiny.cal.json"
    record = read_record(path)
    replace_record(path, second := record.model_copy(update={"note": "week 2"}))
    replace_record(path, record.model_copy(update={"note": "week 3"}))
    former = history_of(path) / f"{record.sha256[:12]}.cal.json"
    former.write_text(former.read_text().replace('"note": ""', '"note": "mine"'))
    assert normline("recalibrate", station, "--restore", record.sha256[:8]) == 2
    error = capsys.readouterr().err
    assert f"left out: {former} was changed" in error and "no former calibration" in error
    assert normline("recalibrate", station, "--restore", second.sha256[:8]) == 0
    assert read_record(path) == second


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
