"""Every triggered part is answered exactly once, whatever camera, model or clock do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.capture import CaptureState
from agent.journal import Journal
from agent.verdict import Reason
from tests.agent.service.fakes import Rig

MakeRig = Callable[..., Rig]
NONE = "NO_DECISION"


@pytest.fixture
def make_rig(tmp_path: Path) -> Iterator[MakeRig]:
    rigs: list[Rig] = []

    def make(mode: str = "triggered", deadline_ms: float | None = None) -> Rig:
        rigs.append(Rig(tmp_path, mode, deadline_ms))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.journal.close()


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
        assert rig.line.turn()
    assert rig.verdicts == [("000000", "PASS", None), ("000001", "REJECT", None)]
    assert rig.last["regions"] and rig.last["captured_at"].endswith("Z")
    assert rig.states == ["Initialized", "Ready", "ContinuousExecution"]


def test_a_triggered_part_is_answered_under_its_id_with_all_durations(rig: Rig) -> None:
    assert isinstance(rig.line.trigger("A17", None), int)
    rig.camera.deliver()
    rig.line.turn()
    assert rig.verdicts == [("A17", "PASS", None)]
    durations = rig.last["durations_ms"]
    assert all(durations[stage] >= 0 for stage in ("capture", "queue", "inference", "decide"))
    assert rig.states[2:] == ["SingleExecution", "Ready"]


@pytest.mark.parametrize("score", [None, float("nan"), float("inf")])
def test_a_model_without_an_answer_decides_nothing(rig: Rig, score: float | None) -> None:
    rig.engine.scores.append(score)
    rig.line.trigger("A", None)
    rig.camera.deliver()
    rig.line.turn()
    assert rig.verdicts == [("A", NONE, "ENGINE_FAULT")]


def test_a_frame_of_no_use_is_a_fault_of_the_camera(rig: Rig) -> None:
    rig.line.trigger("A", None)
    rig.camera.deliver(shape=(8, 8, 4))
    rig.line.turn()
    assert rig.verdicts == [("A", NONE, "CAMERA_FAULT")]


def test_more_triggers_than_the_camera_takes_are_answered_at_once(rig: Rig) -> None:
    outcomes = [rig.line.trigger(part, None) for part in "ABC"]
    assert outcomes[2] is Reason.OVERRUN
    assert rig.verdicts == [("C", NONE, "OVERRUN")]
    for _ in "AB":
        rig.camera.deliver()
        rig.line.turn()
    assert rig.verdicts[1:] == [("A", "PASS", None), ("B", "PASS", None)]


def test_a_part_whose_frame_does_not_come_is_answered_at_its_deadline(rig: Rig) -> None:
    rig.line.trigger("A", 0.001)
    rig.line.turn()
    assert rig.verdicts == [("A", NONE, "DEADLINE")]
    assert rig.last["late"] and rig.last["deadline_ms"] == 0.001
    # and the frame, when it comes after all, is nobody's
    rig.camera.deliver()
    rig.line.turn()
    assert len(rig.verdicts) == 1


@pytest.mark.parametrize("score", [-1.0, 2.0])
def test_a_finding_after_the_deadline_decides_nothing_and_is_kept(rig: Rig, score: float) -> None:
    rig.engine.scores.append(score)
    rig.line.trigger("A", 0.001)
    rig.camera.deliver()
    rig.line.turn()
    assert rig.verdicts == [("A", NONE, "DEADLINE")]
    assert rig.last["late"] and rig.last["score"] == score


def test_a_free_running_part_can_be_late_too(make_rig: MakeRig) -> None:
    rig = make_rig("free_run", deadline_ms=0.000001)
    rig.line.begin()
    rig.camera.deliver(triggered=False)
    rig.line.turn()
    assert rig.verdicts == [("000000", NONE, "DEADLINE")]


def test_a_late_frame_is_not_taken_for_the_next_part_of_the_same_id(rig: Rig) -> None:
    rig.line.trigger("A", 0.001)
    rig.line.turn()
    rig.line.trigger("A", None)
    rig.camera.deliver()  # of the first trigger
    rig.line.turn()
    assert rig.verdicts == [("A", NONE, "DEADLINE")]
    rig.camera.deliver()
    rig.line.turn()
    assert rig.verdicts[1:] == [("A", "PASS", None)]


def test_a_lost_camera_answers_its_parts_and_those_to_come(rig: Rig) -> None:
    rig.line.trigger("A", None)
    rig.line.trigger("B", None)
    rig.camera.break_down()
    rig.line.turn()
    assert rig.line.trigger("C", None) is Reason.CAMERA_FAULT
    assert rig.verdicts == [(part, NONE, "CAMERA_FAULT") for part in "ABC"]
    assert rig.states[-1] == "Error"


def test_a_trigger_between_the_loss_and_its_discovery_is_no_overrun(rig: Rig) -> None:
    rig.camera.break_down()
    assert rig.line.trigger("A", None) is Reason.CAMERA_FAULT


def test_the_station_returns_with_its_camera(rig: Rig) -> None:
    rig.camera.break_down()
    rig.line.turn()
    rig.camera.state = CaptureState.RUNNING
    rig.line.turn()
    assert rig.states[-3:] == ["Error", "Initialized", "Ready"]
    rig.line.trigger("A", None)
    rig.camera.deliver()
    rig.line.turn()
    assert rig.verdicts == [("A", "PASS", None)]


def test_a_stopped_station_answers_not_ready_until_it_is_started(rig: Rig) -> None:
    rig.line.trigger("A", None)
    rig.line.stop()
    assert rig.line.trigger("B", None) is Reason.NOT_READY
    rig.camera.deliver()
    rig.line.turn()
    assert rig.verdicts == [("A", NONE, "INTERRUPTED"), ("B", NONE, "NOT_READY")]
    rig.line.start()
    rig.line.trigger("C", None)
    rig.camera.deliver()
    rig.line.turn()
    assert rig.verdicts[2:] == [("C", "PASS", None)]


def test_a_station_stopped_while_its_camera_is_lost_stays_stopped(rig: Rig) -> None:
    rig.camera.break_down()
    rig.line.turn()
    rig.line.stop()
    rig.camera.state = CaptureState.RUNNING
    rig.line.turn()
    assert rig.states[-1] == "Initialized"


def test_a_stopped_free_run_inspects_nothing(make_rig: MakeRig) -> None:
    rig = make_rig("free_run")
    rig.line.begin()
    rig.line.stop()
    rig.camera.deliver(triggered=False)
    rig.line.turn()
    assert rig.verdicts == []
    rig.line.start()
    rig.camera.deliver(triggered=False)
    rig.line.turn()
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
    assert not rig.line.turn()
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
        rig.line.turn()
    assert rig.journal.acknowledge("test", 1, 1, timeout_s=10)
    reader = rig.journal.reader()
    stored = reader.page(rig.journal.epoch, 0, 2**53, limit=10)
    assert [each.seq for each in stored] == [1, 2, 3]
    assert b'"part_id":"C"' in stored[-1].payload
    reader.close()


def test_the_heartbeat_tells_what_was_published(rig: Rig) -> None:
    rig.line.trigger("A", None)
    rig.camera.deliver()
    rig.line.turn()
    (beat,) = rig.heartbeats
    assert (beat["epoch"], beat["first_seq"], beat["last_seq"]) == (rig.journal.epoch, 1, 1)
    assert beat["state"] == "Ready"
    assert beat["journal_fault"] is None
