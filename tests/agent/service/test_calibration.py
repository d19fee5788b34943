"""A calibration replaced on disk is taken over whole, or not at all."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.errors import InputError
from agent.record import CalibrationRecord, write_record
from agent.service import calibration as module
from agent.service.calibration import CalibrationFile
from tests.agent.factories import make_record
from tests.agent.service.fakes import SIZE, Rig

FIRST = make_record([-3.0, -2.0, -1.0, 0.0], threshold=0.0)
SECOND = make_record([-3.0, -2.0, -1.5], threshold=-1.5)


@pytest.fixture(autouse=True)
def _look_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_record(tmp_path / "a.cal.json", FIRST)
    return tmp_path / "a.cal.json"


def accept(record: CalibrationRecord) -> None:
    """Any record belongs here."""


def refuse_all_but(allowed: CalibrationRecord) -> Callable[[CalibrationRecord], None]:
    def check(record: CalibrationRecord) -> None:
        if record != allowed:
            raise InputError("made with another bundle")

    return check


def test_a_new_record_is_given_once(path: Path) -> None:
    file = CalibrationFile(path, accept)
    assert file.record == FIRST and file.replaced() is None
    write_record(path, SECOND)
    assert file.replaced() == SECOND
    assert file.replaced() is None and file.record == SECOND


@pytest.mark.parametrize("content", [b"", b"{", b'{"schema": 99}'])
def test_what_is_no_record_changes_nothing(path: Path, content: bytes) -> None:
    file = CalibrationFile(path, accept)
    path.write_bytes(content)
    assert file.replaced() is None and file.record == FIRST
    write_record(path, SECOND)
    assert file.replaced() == SECOND


def test_a_record_of_another_station_changes_nothing(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = CalibrationFile(path, refuse_all_but(FIRST))
    write_record(path, SECOND)
    for _ in range(2):  # it is looked at twice a second
        assert file.replaced() is None and file.record == FIRST
    assert caplog.text.count("the former one stays in force: made with another bundle") == 1


def test_the_same_record_written_again_is_no_other(path: Path) -> None:
    """The drift monitor would begin anew."""
    file = CalibrationFile(path, accept)
    write_record(path, FIRST)
    assert file.replaced() is None


def test_a_record_that_is_replaced_while_it_is_read_is_noticed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = module.read_record

    def read_and_replace(path: Path) -> CalibrationRecord:
        record = read(path)
        write_record(path, SECOND)
        return record

    with monkeypatch.context() as patch:
        patch.setattr(module, "read_record", read_and_replace)
        file = CalibrationFile(path, accept)
    assert file.record == FIRST
    assert file.replaced() == SECOND


def test_a_record_that_was_edited_changes_nothing(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A limit raised by hand would let defects pass, for which no normal part spoke."""
    record = make_record(FIRST.scores, threshold=-2.0)
    write_record(path, record)
    file = CalibrationFile(path, accept)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"threshold": -1.0}))
    assert file.replaced() is None and file.record == record
    assert "refused, the former one stays in force" in caplog.text
    assert "was changed after it was made" in caplog.text
    with pytest.raises(InputError, match="was changed after it was made"):
        CalibrationFile(path, accept)


def test_a_file_that_is_gone_changes_nothing(path: Path) -> None:
    file = CalibrationFile(path, accept)
    path.unlink()
    assert file.replaced() is None and file.record == FIRST


def test_a_wrong_record_is_refused_at_the_start(path: Path) -> None:
    with pytest.raises(InputError, match="another bundle"):
        CalibrationFile(path, refuse_all_but(SECOND))


def test_the_line_decides_by_the_new_record_from_the_next_part_on(tmp_path: Path) -> None:
    rig = Rig(tmp_path, mode="free_run")
    rig.line.begin()
    rig.engine.scores.extend([-1.0, -1.0])
    rig.camera.deliver(triggered=False)
    rig.turn()
    rig.line.adopt(SECOND)
    rig.camera.deliver(triggered=False)
    rig.turn()
    assert [verdict for _, verdict, _ in rig.verdicts] == ["PASS", "REJECT"]
    assert rig.last["threshold"] == -1.5
    rig.camera.deliver((*SIZE, 4), triggered=False)  # of no use: nothing decides
    rig.turn()
    assert rig.last["score"] is None and rig.last["threshold"] == -1.5
    assert [beat["calibration"] for beat in rig.heartbeats] == [FIRST.sha256, SECOND.sha256]
    rig.journal.close()


@pytest.mark.parametrize(("score", "verdict"), [(-1.0, "PASS"), (1.0, "REJECT")])
def test_a_part_that_is_being_inspected_is_told_with_the_threshold_that_decided(
    tmp_path: Path, score: float, verdict: str
) -> None:
    """A PASS whose score was above the threshold beside it was nobody's to understand."""
    rig = Rig(tmp_path, mode="free_run")
    rig.line.begin()
    begun = threading.Event()
    infer = rig.engine.infer

    def held_up(frame: Any) -> Any:
        begun.set()
        return infer(frame)

    rig.engine.infer = held_up  # type: ignore[method-assign]
    rig.engine.goes_on.clear()
    rig.engine.scores.append(score)
    rig.camera.deliver(triggered=False)
    rig.line.turn()
    assert begun.wait(10)
    rig.line.adopt(SECOND)
    rig.engine.goes_on.set()
    rig.turn()
    assert (rig.last["verdict"], rig.last["threshold"]) == (verdict, FIRST.threshold)
    rig.close()


def test_a_frozen_camera_stays_at_fault_when_the_record_changes(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.line.begin()
    for part, record in (("A", FIRST), ("B", FIRST), ("C", SECOND)):
        rig.line.adopt(record)
        rig.camera.delivered = 7
        rig.line.trigger(part, None)
        rig.camera.deliver()
        rig.turn()
    assert [reason for _, _, reason in rig.verdicts] == [None, "CAMERA_FAULT", "CAMERA_FAULT"]
    rig.close()


def test_a_part_is_watched_once_however_long_the_line_rests(tmp_path: Path) -> None:
    """One unusual part before a break would be taken for a thousand."""
    scores = [-4.0 + index / 100 for index in range(300)]
    rig = Rig(tmp_path, mode="free_run", record=make_record(scores, scores[-3]))
    rig.line.begin()
    rig.camera.deliver(triggered=False)
    rig.turn()
    rig.worker.close()
    inspector = rig.worker._inspector
    for _ in range(3):
        inspector.watch_drift()
    assert inspector.drift is not None and inspector.drift.parts == 1
    rig.journal.close()


def test_drift_is_published_once_and_stays_in_the_heartbeat(tmp_path: Path) -> None:
    scores = [-4.0 + index / 100 for index in range(300)]
    rig = Rig(tmp_path, mode="free_run", record=make_record(scores, scores[-3]))
    rig.line.begin()
    rig.engine.scores.extend([-1.1] * 80)
    for _ in range(80):
        rig.camera.deliver(triggered=False)
        rig.turn()
    (alarm,) = rig.of_kind("drift")
    assert alarm["drift"]["state"] == "DRIFT" and alarm["drift"]["evidence"] >= 100
    assert alarm["drift"]["changes"] == ["scores higher"]
    rig.line.adopt(FIRST)
    rig.camera.deliver(triggered=False)
    rig.turn()
    assert rig.heartbeats[-1]["drift"] is None  # four scores allow no watch
    assert rig.heartbeats[0]["drift"]["state"] == "IN_CONTROL"
    rig.journal.close()


@pytest.mark.parametrize("noted_parts", [1, 10**9], ids=["each part", "the alarm alone"])
def test_drift_outlives_the_station_and_ends_with_the_calibration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, noted_parts: int
) -> None:
    """Switched off and on, a station must not look as if nothing were wrong."""
    monkeypatch.setattr("agent.service.inspect.NOTED_PARTS", noted_parts)
    scores = [-4.0 + index / 100 for index in range(300)]
    record = make_record(scores, scores[-3])
    rig = Rig(tmp_path, mode="free_run", record=record)
    rig.line.begin()
    rig.engine.scores.extend([-1.1] * 80)
    for _ in range(80):
        rig.camera.deliver(triggered=False)
        rig.turn()
    rig.close()
    again = Rig(tmp_path, mode="free_run", record=record)
    again.line.begin()
    again.turn()
    assert again.heartbeats[0]["drift"]["state"] == "DRIFT"
    assert again.of_kind("drift")[0]["drift"]["changes"] == ["scores higher"]
    again.close()
    other = make_record([score - 1 for score in scores], scores[-3] - 1)
    anew = Rig(tmp_path, mode="free_run", record=other)
    anew.line.begin()
    anew.turn()
    assert anew.heartbeats[0]["drift"]["state"] == "IN_CONTROL"
    anew.close()
