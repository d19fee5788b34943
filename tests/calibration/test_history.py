"""The records before: kept, named, put back, and one command at a time."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import pytest

from agent.errors import InputError
from agent.messaging.status import Heartbeat
from agent.record import SCHEMA, read_record
from calibration import history
from calibration.history import (
    find_former,
    former_records,
    history_of,
    on_trial,
    replace_record,
)
from tests.agent.factories import make_heartbeat
from tests.calibration.command import normline, write_parts


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
