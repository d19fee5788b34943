"""A part that takes too long is answered at its deadline, and what is found later is kept apart."""

from __future__ import annotations

import time
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from agent.capture import CaptureState
from agent.service import faults as faults_module
from agent.service.faults import LATE_IN_A_ROW, Faults
from agent.verdict import Outcome, Reason, Verdict
from tests.agent.factories import make_verdict
from tests.agent.service.fakes import NONE, MakeRig, Rig


def test_a_part_whose_frame_does_not_come_is_answered_at_its_deadline(rig: Rig) -> None:
    rig.line.trigger("A", 0.001)
    rig.turn()
    assert rig.verdicts == [("A", NONE, "DEADLINE")]
    assert rig.last["late"] and rig.last["deadline_ms"] == 0.001


def test_a_part_that_was_answered_leaves_its_picture_to_the_next(rig: Rig) -> None:
    """Each still took one, and every part from then on was judged on a picture of a later one."""
    rig.line.trigger("A", 0.001)
    rig.turn()
    rig.line.trigger("A", None)
    rig.camera.deliver()
    rig.turn()
    assert rig.verdicts == [("A", NONE, "DEADLINE"), ("A", "PASS", None)]


@pytest.mark.parametrize(("score", "found"), [(-1.0, "PASS"), (2.0, "REJECT")])
def test_a_slow_engine_is_answered_for_at_the_deadline_and_its_finding_is_kept_as_late(
    rig: Rig, score: float, found: str
) -> None:
    rig.engine.scores.append(score)
    rig.engine.goes_on.clear()
    rig.line.trigger("A", 500)
    rig.camera.deliver()
    while not rig.verdicts:
        rig.line.turn()
    assert rig.verdicts == [("A", NONE, "DEADLINE")]
    assert rig.last["late"] and rig.last["score"] is None
    rig.engine.goes_on.set()
    rig.turn()
    (late,) = rig.late_results
    assert not rig.line._overdue  # or a line that is always late fills the memory
    assert (late["part_id"], late["found"], late["score"]) == ("A", found, score)
    assert late["seq"] == rig.last["seq"]
    assert len(rig.verdicts) == 1
    reader = rig.journal.reader()
    rig.journal.acknowledge("settle", 1, 1, timeout_s=10)
    ((seq, stored),) = reader.late_results(rig.journal.epoch)
    assert seq == late["seq"] and b'"found":"%s"' % found.encode() in stored
    reader.close()


def test_what_was_found_too_late_is_evidence_under_the_verdict_of_its_deadline(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a line that was slow for a while nobody could see why a part was bad."""
    kept: list[tuple[str, str, int]] = []

    def keep(verdict: Verdict, image: NDArray[np.uint8]) -> None:
        kept.append((verdict.result_id, verdict.verdict.value, int(image.max())))

    monkeypatch.setattr(rig.line._equipment.results, "_evidence", SimpleNamespace(keep=keep))
    rig.camera.delivered = 7
    rig.engine.scores.append(2.0)
    rig.engine.goes_on.clear()
    rig.line.trigger("A", 500)
    rig.camera.deliver()
    while not rig.verdicts:
        rig.line.turn()
    assert kept == []
    rig.engine.goes_on.set()
    rig.turn()
    assert rig.late_results[0]["found"] == "REJECT"
    assert kept == [(rig.last["result_id"], NONE, 7)]


def test_a_picture_whose_part_was_answered_while_it_waited_is_not_inspected(rig: Rig) -> None:
    """A line that was late once would spend its time on what has gone by, and be late again."""
    rig.engine.goes_on.clear()
    rig.line.trigger("A", None)
    rig.camera.deliver()
    rig.line.turn()
    rig.line.trigger("B", 0.001)
    rig.camera.deliver()
    while not rig.verdicts:
        rig.line.turn()
    rig.engine.goes_on.set()
    rig.turn()
    assert rig.verdicts == [("B", NONE, "DEADLINE"), ("A", "PASS", None)]
    assert rig.worker.finished == 1


def test_a_line_that_is_always_late_does_not_fill_the_log(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    """Each part had a line for its result."""
    for number, part in enumerate("AB", start=1):
        rig.engine.goes_on.clear()
        rig.line.trigger(part, 500)
        rig.camera.deliver()
        while len(rig.verdicts) < number:
            rig.line.turn()
        rig.engine.goes_on.set()
        rig.turn()
    assert len(rig.late_results) == 2
    told = [each.getMessage() for each in caplog.records]
    (result,) = [each for each in told if "inspected too late" in each]
    assert "part A: PASS" in result


def be_late(rig: Rig, part: str) -> None:
    rig.line.trigger(part, 0.001)
    rig.turn()


def test_three_late_in_a_row_are_a_fault_that_lasts_until_somebody_starts_the_line(
    rig: Rig,
) -> None:
    be_late(rig, "A")
    be_late(rig, "B")
    rig.line.trigger("C", None)
    rig.camera.deliver()
    rig.turn()
    assert rig.verdicts[-1] == ("C", "PASS", None)  # which counts anew
    for part in "DEF":
        be_late(rig, part)
    assert rig.states[-1] == "Error"
    assert rig.line.trigger("G", None) is Reason.NOT_READY
    for _ in range(3):
        rig.turn()
    assert rig.states[-1] == "Error"
    rig.line.start()
    assert rig.states[-1] == "Ready"
    rig.line.trigger("H", None)
    rig.camera.deliver()
    rig.turn()
    assert rig.verdicts[-1] == ("H", "PASS", None)


@pytest.mark.parametrize(
    ("mode", "reasons"), [("free_run", []), ("camera_triggered", ["NOT_READY"])]
)
def test_a_line_that_is_too_slow_decides_nothing_of_what_comes_by_itself(
    make_rig: MakeRig, mode: str, reasons: list[str]
) -> None:
    rig = make_rig(mode)
    rig.line.begin()
    rig.line._faults.late_in_a_row = LATE_IN_A_ROW
    rig.turn()
    assert rig.states[-1] == "Error"
    rig.camera.deliver(triggered=False)
    rig.turn()
    assert [reason for _, _, reason in rig.verdicts] == reasons


def test_parts_that_were_late_because_the_camera_hung_do_not_outlast_it(rig: Rig) -> None:
    """Told from the stall of a camera, three deadlines can pass first."""
    for part in "ABC":
        be_late(rig, part)
    assert rig.states[-1] == "Error"
    rig.camera.break_down()
    rig.turn()
    rig.camera.state = CaptureState.RUNNING
    rig.turn()
    assert rig.states[-1] == "Ready"
    rig.line.trigger("D", None)
    rig.camera.deliver()
    rig.turn()
    assert rig.verdicts[-1] == ("D", "PASS", None)


def test_a_line_that_is_too_slow_is_not_cleared_by_a_camera_that_fails_as_well(rig: Rig) -> None:
    rig.engine.goes_on.clear()
    for part in "ABC":
        rig.line.trigger(part, 0.001)
        rig.camera.deliver()
        rig.line.turn()
        rig.line.turn()
    assert rig.states[-1] == "Error"
    rig.camera.break_down()
    rig.line.turn()
    rig.camera.state = CaptureState.RUNNING
    rig.engine.goes_on.set()
    rig.turn()
    assert rig.states[-1] == "Error"
    assert rig.line.trigger("D", None) is Reason.NOT_READY


def test_a_line_that_is_too_slow_is_so_for_the_pictures_that_wait_for_it_too(rig: Rig) -> None:
    """Only what has no picture yet may be the camera's to answer for."""
    rig.engine.goes_on.clear()
    rig.line.trigger("X", None)
    rig.camera.deliver()
    rig.line.turn()
    for part in "ABC":
        rig.line.trigger(part, 0.001)
        rig.camera.deliver()
        rig.line.turn()
        rig.line.turn()
    assert rig.states[-1] == "Error"
    rig.camera.break_down()
    rig.line.turn()
    rig.camera.state = CaptureState.RUNNING
    rig.engine.goes_on.set()
    rig.turn()
    assert rig.states[-1] == "Error"


def test_one_pause_of_the_machine_is_not_three_however_many_parts_were_in_it(
    rig: Rig,
) -> None:
    """An unattended line stood still after one hiccup, until somebody sent `start`."""
    rig.camera.pending_limit = 8
    for pause in ("AB", "CDEF"):
        for number in range(3):
            rig.line.trigger(f"{pause}{number}", 0.001)
        rig.turn()
    assert [reason for _, _, reason in rig.verdicts] == ["DEADLINE"] * 6
    assert rig.line._faults.late_in_a_row == 2
    rig.line.trigger("G", None)
    rig.camera.deliver()
    rig.turn()
    assert rig.verdicts[-1] == ("G", "PASS", None)


def test_a_line_that_is_too_slow_is_found_out_though_its_parts_overlap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each had begun before the one before it was given, as in one pause that does not end."""
    clock = SimpleNamespace(now_ns=0)
    monkeypatch.setattr(faults_module, "time", SimpleNamespace(monotonic_ns=lambda: clock.now_ns))
    faults = Faults(stop_without_journal=False)
    late = make_verdict(verdict=Outcome.NO_DECISION, reason=Reason.DEADLINE, late=True)
    for begun_ms in range(0, 500, 100):
        clock.now_ns = (begun_ms + 200) * 10**6
        faults.note(late, begun_ms * 10**6)
    assert faults.late_in_a_row == LATE_IN_A_ROW


def test_what_is_refused_between_does_not_make_a_slow_line_fast(rig: Rig) -> None:
    """Every other part overran: nobody was told that all others were late."""
    for part in "ABC":
        be_late(rig, part)
        overrun = make_verdict(verdict=Outcome.NO_DECISION, reason=Reason.OVERRUN)
        rig.line._faults.note(overrun, time.monotonic_ns())
    rig.turn()
    assert rig.states[-1] == "Error"


def test_a_part_that_came_while_the_station_started_and_is_in_time_is_inspected(
    make_rig: MakeRig,
) -> None:
    rig = make_rig("camera_triggered", deadline_ms=60_000.0)
    rig.camera.deliver(triggered=False)
    rig.line.begin()
    rig.turn()
    assert [verdict for _, verdict, _ in rig.verdicts] == ["PASS"]


def test_parts_that_passed_while_the_station_started_are_no_reason_to_stop_it(
    make_rig: MakeRig,
) -> None:
    """Three of them, late before the first could be looked at, held an unattended line up."""
    rig = make_rig("camera_triggered", deadline_ms=0.001)
    for _ in range(3):
        rig.camera.deliver(triggered=False)
    early = list(rig.camera.waiting)
    rig.camera.waiting.clear()
    rig.line.begin()
    for captured in early:
        rig.camera.waiting.append(captured)
        rig.turn()
    assert [verdict[2] for verdict in rig.verdicts] == ["NOT_READY"] * 3
    assert rig.states[-1] == "Ready"


def test_a_free_running_part_can_be_late_too(make_rig: MakeRig) -> None:
    rig = make_rig("free_run", deadline_ms=0.000001)
    rig.line.begin()
    rig.camera.deliver(triggered=False)
    rig.turn()
    assert rig.verdicts == [("000000", NONE, "DEADLINE")]


def test_a_trigger_without_a_deadline_has_that_of_the_station(make_rig: MakeRig) -> None:
    rig = make_rig("triggered", deadline_ms=0.001)
    rig.line.begin()
    rig.line.trigger("A", None)
    rig.turn()
    assert rig.verdicts == [("A", NONE, "DEADLINE")]
    assert rig.last["deadline_ms"] == 0.001


def test_a_deadline_counts_from_its_own_trigger(rig: Rig) -> None:
    """A line that had run for an hour was late with every part."""
    rig.line._ready_ns -= 3600 * 10**9
    rig.line.trigger("A", 60_000.0)
    rig.camera.deliver()
    rig.turn()
    assert rig.verdicts == [("A", "PASS", None)]
    assert rig.last["durations_ms"]["capture"] < 60_000
