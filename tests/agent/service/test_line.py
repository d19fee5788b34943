"""Every triggered part is answered exactly once, whatever camera, model or clock do."""

from __future__ import annotations

import select
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.capture import CaptureState
from agent.journal import Journal
from agent.journal import writer as writer_module
from agent.service import worker as worker_module
from agent.service.herald import HEARTBEAT_S
from agent.states import State
from agent.verdict import Reason
from tests.agent.service.fakes import Rig

MakeRig = Callable[..., Rig]
NONE = "NO_DECISION"


@pytest.fixture
def make_rig(tmp_path: Path) -> Iterator[MakeRig]:
    rigs: list[Rig] = []

    def make(mode: str = "triggered", deadline_ms: float | None = None, **more: bool) -> Rig:
        rigs.append(Rig(tmp_path, mode, deadline_ms, **more))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()


@pytest.fixture
def rig(make_rig: MakeRig) -> Rig:
    rig = make_rig()
    rig.line.begin()
    return rig


def test_free_run_inspects_frames_under_their_names(make_rig: MakeRig) -> None:
    rig = make_rig("free_run")
    rig.line.begin()
    rig.engine.scores.extend([-1.0, 2.0])
    for _ in range(2):
        rig.camera.deliver(triggered=False)
        assert rig.turn()
    assert rig.verdicts == [("000000", "PASS", None), ("000001", "REJECT", None)]
    assert rig.last["regions"] and rig.last["captured_at"].endswith("Z")
    assert rig.states == ["Initialized", "Ready", "ContinuousExecution"]


def test_a_triggered_part_is_answered_under_its_id_with_all_durations(rig: Rig) -> None:
    assert isinstance(rig.line.trigger("A17", None), int)
    rig.camera.deliver()
    rig.turn()
    assert rig.verdicts == [("A17", "PASS", None)]
    durations = rig.last["durations_ms"]
    assert all(durations[stage] >= 0 for stage in ("capture", "queue", "inference", "decide"))
    assert rig.states[2:] == ["SingleExecution", "Ready"]


@pytest.mark.parametrize("score", [None, float("nan"), float("inf")])
def test_a_model_without_an_answer_decides_nothing(rig: Rig, score: float | None) -> None:
    rig.engine.scores.append(score)
    rig.line.trigger("A", None)
    rig.camera.deliver()
    rig.turn()
    assert rig.verdicts == [("A", NONE, "ENGINE_FAULT")]


def test_a_frame_of_no_use_is_a_fault_of_the_camera(rig: Rig) -> None:
    rig.line.trigger("A", None)
    rig.camera.deliver(shape=(8, 8, 4))
    rig.turn()
    assert rig.verdicts == [("A", NONE, "CAMERA_FAULT")]


def test_more_triggers_than_the_camera_takes_are_answered_at_once(rig: Rig) -> None:
    outcomes = [rig.line.trigger(part, None) for part in "ABC"]
    assert outcomes[2] is Reason.OVERRUN
    assert rig.verdicts == [("C", NONE, "OVERRUN")]
    for _ in "AB":
        rig.camera.deliver()
        rig.turn()
    assert rig.verdicts[1:] == [("A", "PASS", None), ("B", "PASS", None)]


def test_a_part_whose_frame_does_not_come_is_answered_at_its_deadline(rig: Rig) -> None:
    rig.line.trigger("A", 0.001)
    rig.turn()
    assert rig.verdicts == [("A", NONE, "DEADLINE")]
    assert rig.last["late"] and rig.last["deadline_ms"] == 0.001
    # and the frame, when it comes after all, is nobody's
    rig.camera.deliver()
    rig.turn()
    assert len(rig.verdicts) == 1


@pytest.mark.parametrize(("score", "found"), [(-1.0, "PASS"), (2.0, "REJECT")])
def test_a_slow_engine_is_answered_for_at_the_deadline_and_its_finding_is_kept_as_late(
    rig: Rig, score: float, found: str
) -> None:
    rig.engine.scores.append(score)
    rig.engine.goes_on.clear()
    rig.line.trigger("A", 50)
    rig.camera.deliver()
    while not rig.verdicts:
        rig.line.turn()
    assert rig.verdicts == [("A", NONE, "DEADLINE")]
    assert rig.last["late"] and rig.last["score"] is None
    rig.engine.goes_on.set()
    rig.turn()
    (late,) = rig.late_results
    assert (late["part_id"], late["found"], late["score"]) == ("A", found, score)
    assert late["seq"] == rig.last["seq"]
    assert len(rig.verdicts) == 1
    reader = rig.journal.reader()
    rig.journal.acknowledge("settle", 1, 1, timeout_s=10)
    ((seq, stored),) = reader.late_results(rig.journal.epoch)
    assert seq == late["seq"] and b'"found":"%s"' % found.encode() in stored
    reader.close()


def test_a_line_whose_engine_works_hears_triggers_and_beats(rig: Rig) -> None:
    rig.engine.goes_on.clear()
    rig.line.trigger("A", None)
    rig.camera.deliver()
    rig.line.turn()
    assert isinstance(rig.line.trigger("B", None), int)
    beats = len(rig.heartbeats)
    while len(rig.heartbeats) == beats:
        rig.line.turn()
    assert rig.verdicts == []
    rig.engine.goes_on.set()
    rig.camera.deliver()
    rig.turn()
    assert [part for part, _, _ in rig.verdicts] == ["A", "B"]


def test_a_line_that_has_a_part_in_every_turn_beats(make_rig: MakeRig) -> None:
    rig = make_rig("free_run")
    rig.line.begin()
    beats = len(rig.heartbeats)
    due_s = time.monotonic() + 3 * HEARTBEAT_S
    while len(rig.heartbeats) == beats and time.monotonic() < due_s:
        rig.camera.deliver(triggered=False)
        rig.line.turn()
        assert rig.worker.token is not None
        select.select([rig.worker.descriptor], [], [], 10)
    assert len(rig.heartbeats) > beats


def test_an_engine_that_hangs_silences_the_heartbeat(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "LEAST_HUNG_S", 0.05)
    rig.engine.goes_on.clear()
    rig.line.trigger("A", None)
    rig.camera.deliver()
    while not rig.worker.is_hung:
        rig.line.turn()
    beats = len(rig.heartbeats)
    due_s = time.monotonic() + 2 * HEARTBEAT_S
    while time.monotonic() < due_s:
        rig.line.turn()
    assert len(rig.heartbeats) == beats


def be_late(rig: Rig, part: str) -> None:
    rig.line.trigger(part, 0.001)
    rig.turn()


def test_three_late_in_a_row_are_a_fault_that_lasts_until_somebody_starts_the_line(
    rig: Rig,
) -> None:
    be_late(rig, "A")
    be_late(rig, "B")
    rig.camera.pending.clear()
    rig.line.trigger("C", None)
    rig.camera.deliver()
    rig.turn()
    assert rig.verdicts[-1] == ("C", "PASS", None)  # which counts anew
    for part in "DEF":
        rig.camera.pending.clear()
        be_late(rig, part)
    assert rig.states[-1] == "Error"
    assert rig.line.trigger("G", None) is Reason.NOT_READY
    for _ in range(3):
        rig.turn()
    assert rig.states[-1] == "Error"
    rig.camera.pending.clear()
    rig.line.start()
    assert rig.states[-1] == "Ready"
    rig.line.trigger("H", None)
    rig.camera.deliver()
    rig.turn()
    assert rig.verdicts[-1] == ("H", "PASS", None)


def test_every_frame_of_a_camera_that_is_triggered_itself_is_a_part(make_rig: MakeRig) -> None:
    rig = make_rig("camera_triggered")
    rig.line.begin()
    rig.engine.scores.extend([-1.0, 2.0])
    for _ in range(2):
        rig.camera.deliver(triggered=False)
        rig.turn()
    epoch = rig.journal.epoch
    assert rig.verdicts == [(f"{epoch}-1", "PASS", None), (f"{epoch}-2", "REJECT", None)]
    assert rig.states[2:] == ["SingleExecution", "Ready"] * 2
    assert rig.line.trigger("A", None) is Reason.NOT_READY


def test_a_stopped_station_answers_the_parts_of_a_camera_that_is_triggered_itself(
    make_rig: MakeRig,
) -> None:
    rig = make_rig("camera_triggered")
    rig.line.begin()
    rig.line.stop()
    rig.camera.deliver(triggered=False)
    rig.turn()
    assert rig.verdicts == [(f"{rig.journal.epoch}-1", NONE, "NOT_READY")]


def test_frames_that_come_faster_than_the_engine_wait_and_then_overrun(make_rig: MakeRig) -> None:
    rig = make_rig("camera_triggered")
    rig.line.begin()
    rig.engine.goes_on.clear()
    for _ in range(4):  # one is inspected, two may wait
        rig.camera.deliver(triggered=False)
        rig.line.turn()
    rig.camera.missed = 2  # and these did not even find a place in the ring
    rig.line.turn()
    epoch = rig.journal.epoch
    assert rig.verdicts == [(f"{epoch}-{n}", NONE, "OVERRUN") for n in (4, 5, 6)]
    rig.engine.goes_on.set()
    rig.turn()
    assert rig.verdicts[3:] == [(f"{epoch}-{n}", "PASS", None) for n in (1, 2, 3)]


def test_the_same_picture_again_is_a_fault_of_the_camera_and_passes_with_the_next(
    rig: Rig,
) -> None:
    outcomes = []
    for number in (7, 7, 8):
        rig.camera.delivered = number
        rig.line.trigger(f"part{len(outcomes)}", None)
        rig.camera.deliver()
        rig.turn()
        outcomes.append((rig.verdicts[-1][2], rig.line._faults.picture))
    assert outcomes == [
        (None, None),
        ("CAMERA_FAULT", "frozen: the same picture as before"),
        (None, None),
    ]


def test_a_station_that_must_not_run_without_its_journal_decides_nothing_meanwhile(
    make_rig: MakeRig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "RETRY_S", 0.02)
    rig = make_rig(stop_without_journal=True)
    rig.line.begin()
    rig.journal._writer._connection.execute("PRAGMA busy_timeout=1")
    other = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    rig.line.trigger("A", None)
    while rig.line.state is not State.ERROR:
        rig.line.turn()
    assert rig.verdicts == [("A", NONE, "INTERRUPTED")]
    assert rig.line.trigger("B", None) is Reason.NOT_READY
    other.execute("ROLLBACK")
    other.close()
    while rig.line.state is not State.READY:
        rig.line.turn()


def test_a_free_running_part_can_be_late_too(make_rig: MakeRig) -> None:
    rig = make_rig("free_run", deadline_ms=0.000001)
    rig.line.begin()
    rig.camera.deliver(triggered=False)
    rig.turn()
    assert rig.verdicts == [("000000", NONE, "DEADLINE")]


def test_a_late_frame_is_not_taken_for_the_next_part_of_the_same_id(rig: Rig) -> None:
    rig.line.trigger("A", 0.001)
    rig.turn()
    rig.line.trigger("A", None)
    rig.camera.deliver()  # of the first trigger
    rig.turn()
    assert rig.verdicts == [("A", NONE, "DEADLINE")]
    rig.camera.deliver()
    rig.turn()
    assert rig.verdicts[1:] == [("A", "PASS", None)]


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
    rig.camera.deliver()
    rig.turn()
    assert rig.verdicts == [("A", NONE, "INTERRUPTED"), ("B", NONE, "NOT_READY")]
    rig.line.start()
    rig.line.trigger("C", None)
    rig.camera.deliver()
    rig.turn()
    assert rig.verdicts[2:] == [("C", "PASS", None)]


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


def test_a_free_run_takes_no_triggers(make_rig: MakeRig) -> None:
    rig = make_rig("free_run")
    rig.line.begin()
    assert rig.line.trigger("A", None) is Reason.NOT_READY
    assert rig.verdicts == [("A", NONE, "NOT_READY")]


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


def test_every_verdict_that_was_published_is_in_the_journal(rig: Rig) -> None:
    for part in "ABC":
        rig.line.trigger(part, None)
        rig.camera.deliver()
        rig.turn()
    assert rig.journal.acknowledge("test", 1, 1, timeout_s=10)
    reader = rig.journal.reader()
    stored = reader.page(rig.journal.epoch, 0, 2**53, limit=10)
    assert [each.seq for each in stored] == [1, 2, 3]
    assert b'"part_id":"C"' in stored[-1].payload
    reader.close()


def test_the_heartbeat_tells_what_was_published(rig: Rig) -> None:
    rig.line.trigger("A", None)
    rig.camera.deliver()
    rig.turn()
    beats = len(rig.heartbeats)
    while len(rig.heartbeats) == beats:
        rig.line.turn()
    beat = rig.heartbeats[-1]
    assert (beat["epoch"], beat["first_seq"], beat["last_seq"]) == (rig.journal.epoch, 1, 1)
    assert beat["state"] == "Ready"
    assert beat["journal_fault"] is None
