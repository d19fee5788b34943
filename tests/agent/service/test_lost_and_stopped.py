"""A line whose camera is lost, or that somebody stops, answers its parts and those to come."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from agent.capture import CaptureState
from agent.journal import Journal
from agent.verdict import Reason
from tests.agent.service.fakes import NONE, MakeRig, Rig


def test_a_stopped_station_answers_the_parts_of_a_camera_that_is_triggered_itself(
    make_rig: MakeRig,
) -> None:
    rig = make_rig("camera_triggered")
    rig.line.begin()
    rig.line.stop()
    rig.camera.deliver(triggered=False)
    rig.turn()
    assert rig.verdicts == [(f"{rig.journal.epoch}-1", NONE, "NOT_READY")]


def test_a_lost_camera_answers_its_parts_and_those_to_come(rig: Rig) -> None:
    rig.line.trigger("A", None)
    rig.line.trigger("B", None)
    rig.camera.break_down()
    rig.turn()
    assert rig.line.trigger("C", None) is Reason.CAMERA_FAULT
    assert rig.verdicts == [(part, NONE, "CAMERA_FAULT") for part in "ABC"]
    assert rig.states[-1] == "Error"


def test_a_trigger_between_the_loss_and_its_discovery_is_no_overrun(rig: Rig) -> None:
    rig.camera.break_down()
    assert rig.line.trigger("A", None) is Reason.CAMERA_FAULT


def test_the_station_returns_with_its_camera(rig: Rig) -> None:
    rig.camera.break_down()
    rig.turn()
    rig.camera.state = CaptureState.RUNNING
    rig.turn()
    assert rig.states[-3:] == ["Error", "Initialized", "Ready"]
    rig.line.trigger("A", None)
    rig.camera.deliver()
    rig.turn()
    assert rig.verdicts == [("A", "PASS", None)]


def test_a_stopped_station_answers_not_ready_until_it_is_started(rig: Rig) -> None:
    rig.line.trigger("A", None)
    rig.line.stop()
    assert rig.line.trigger("B", None) is Reason.NOT_READY
    assert rig.verdicts == [("A", NONE, "INTERRUPTED"), ("B", NONE, "NOT_READY")]
    rig.line.start()
    rig.line.trigger("C", None)
    rig.camera.deliver()
    rig.turn()
    assert rig.verdicts[2:] == [("C", "PASS", None)]


def test_parts_that_were_open_when_the_machine_fell_asleep_get_no_decision(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their deadlines stood still: hours later one passed."""
    rig.engine.goes_on.clear()
    rig.line.trigger("A", 60_000.0)
    rig.camera.deliver()
    rig.line.turn()
    rig.line.trigger("B", 60_000.0)
    assert rig.verdicts == []
    with monkeypatch.context() as patch:
        patch.setattr("agent.sleep._asleep_s", lambda: time.monotonic() + 3600.0)
        rig.line.turn()
    assert rig.verdicts == [("A", NONE, "INTERRUPTED"), ("B", NONE, "INTERRUPTED")]
    rig.engine.goes_on.set()
    rig.turn()
    rig.line.trigger("C", None)
    rig.camera.deliver()
    rig.turn()
    assert rig.verdicts[2:] == [("C", "PASS", None)]


@pytest.mark.parametrize(("mode", "before"), [("camera_triggered", [NONE]), ("free_run", [])])
def test_a_picture_from_before_the_machine_slept_is_of_no_part_after_it(
    make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch, mode: str, before: list[str]
) -> None:
    """It had not been taken over yet, and was a PASS hours later, as if taken then."""
    rig = make_rig(mode)
    rig.line.begin()
    rig.camera.deliver(triggered=False)
    with monkeypatch.context() as patch:
        patch.setattr("agent.sleep._asleep_s", lambda: time.monotonic() + 3600.0)
        rig.turn()
    assert [verdict for _, verdict, _ in rig.verdicts] == before
    assert all(reason == "INTERRUPTED" for _, _, reason in rig.verdicts)
    rig.camera.deliver(triggered=False)
    rig.turn()
    assert [verdict for _, verdict, _ in rig.verdicts] == [*before, "PASS"]


def test_a_station_stopped_while_its_camera_is_lost_stays_stopped(rig: Rig) -> None:
    rig.camera.break_down()
    rig.turn()
    rig.line.stop()
    rig.camera.state = CaptureState.RUNNING
    rig.turn()
    assert rig.states[-1] == "Initialized"


def test_a_stopped_free_run_inspects_nothing(make_rig: MakeRig) -> None:
    rig = make_rig("free_run")
    rig.line.begin()
    rig.line.stop()
    rig.camera.deliver(triggered=False)
    rig.turn()
    assert rig.verdicts == []
    rig.line.start()
    rig.camera.deliver(triggered=False)
    rig.turn()
    assert rig.verdicts == [("000001", "PASS", None)]


def test_a_free_run_that_is_stopped_passes_nothing_that_was_being_inspected(
    make_rig: MakeRig,
) -> None:
    rig = make_rig("free_run")
    rig.line.begin()
    rig.engine.goes_on.clear()
    rig.camera.deliver(triggered=False)
    while rig.worker.token is None:
        rig.line.turn()
    rig.line.stop()
    assert rig.verdicts == [("000000", NONE, "INTERRUPTED")]
    rig.engine.goes_on.set()
    rig.turn()
    assert len(rig.verdicts) == 1


def test_with_the_camera_lost_a_journal_that_fails_as_well_ends_what_is_inspected(
    make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = make_rig(stop_without_journal=True)
    rig.line.begin()
    rig.engine.goes_on.clear()
    rig.line.trigger("A", None)
    rig.camera.deliver()
    while rig.worker.token is None:
        rig.line.turn()
    rig.camera.break_down()
    rig.line.turn()
    assert rig.states[-1] == "Error" and rig.verdicts == []
    monkeypatch.setattr(Journal, "fault", "disk full")
    rig.line.turn()
    assert rig.verdicts == [("A", NONE, "INTERRUPTED")]
    rig.engine.goes_on.set()
    rig.turn()
    assert len(rig.verdicts) == 1


@pytest.mark.parametrize("end", ["camera", "signal"])
def test_at_the_end_open_parts_are_answered_and_the_station_halts(rig: Rig, end: str) -> None:
    rig.line.trigger("A", None)
    if end == "camera":
        rig.camera.state = CaptureState.ENDED
    else:
        rig.line.halt("SIGTERM")
    assert not rig.turn()
    rig.line.end(rig.line.ended_by)
    assert rig.verdicts == [("A", NONE, "INTERRUPTED")]
    assert rig.states[-1] == "Halted"


def test_the_last_part_of_a_recording_is_still_inspected(make_rig: MakeRig) -> None:
    rig = make_rig("free_run")
    rig.line.begin()
    rig.engine.goes_on.clear()
    rig.camera.deliver(triggered=False)
    while rig.worker.token is None:
        rig.line.turn()
    rig.camera.state = CaptureState.ENDED
    assert rig.line.turn()
    rig.engine.goes_on.set()
    assert not rig.turn()
    assert rig.verdicts == [("000000", "PASS", None)]


def test_what_a_crash_left_open_is_answered_before_the_first_new_part(
    make_rig: MakeRig, tmp_path: Path
) -> None:
    crashed = make_rig()
    crashed.line.begin()
    crashed.line.trigger("A", None)
    crashed.line.trigger("B", None)
    crashed.journal.close()  # and no end of the line

    rig = make_rig()
    rig.line.begin()
    assert rig.verdicts == [(part, NONE, "INTERRUPTED") for part in "AB"]
    rig.journal.close()
    journal = Journal(tmp_path / "journal.db")
    assert journal.interrupted == ()
    journal.close()
