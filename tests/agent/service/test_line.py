"""Every triggered part is answered exactly once, whatever camera, model or clock do."""

from __future__ import annotations

import select
import sqlite3
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from agent.capture import CaptureState, CaptureStatus
from agent.journal import Journal
from agent.journal import writer as writer_module
from agent.journal.ahead import read_entries
from agent.service import worker as worker_module
from agent.service.herald import HEARTBEAT_S
from agent.states import State
from agent.verdict import Reason
from tests.agent.service.fakes import NONE, SIZE, HandCamera, MakeRig, Rig

LIMIT_S = 20.0


def test_free_run_inspects_frames_under_their_names(make_rig: MakeRig) -> None:
    rig = make_rig("free_run")
    rig.line.begin()
    rig.engine.scores.extend([-1.0, 2.0])
    for _ in range(2):
        rig.camera.deliver(triggered=False)
        assert rig.turn()
    assert rig.verdicts == [("000000", "PASS", None), ("000001", "REJECT", None)]
    assert rig.last["regions"] and rig.last["captured_at"].endswith("Z")
    captured_at = datetime.fromisoformat(rig.last["captured_at"].replace("Z", "+00:00"))
    assert abs(captured_at.timestamp() - time.time()) < LIMIT_S
    assert rig.last["simulated"] is True  # which no gate lets through
    assert rig.states == ["Initialized", "Ready", "ContinuousExecution"]


def test_a_triggered_part_is_answered_under_its_id_with_all_durations(rig: Rig) -> None:
    assert isinstance(rig.line.trigger("A17", None), int)
    rig.camera.deliver()
    rig.turn()
    assert rig.verdicts == [("A17", "PASS", None)]
    durations = rig.last["durations_ms"]
    assert all(durations[stage] >= 0 for stage in ("capture", "queue", "inference", "decide"))
    assert rig.states[2:] == ["SingleExecution", "Ready"]


def test_a_verdict_is_in_the_log_before_anybody_hears_it(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that was killed between the two left a part with two verdicts."""
    kept: list[list[int]] = []
    results = rig.line._equipment.results
    send = results._send

    def look_and_send(topic: bytes, payload: bytes) -> None:
        found = [entry.content for entry in read_entries(tmp_path / "journal.db.ahead")]
        kept.append([number for kind, number, *_ in found if kind == "verdict"])
        send(topic, payload)

    monkeypatch.setattr(results, "_send", look_and_send)
    for part in "AB":
        rig.line.trigger(part, None)
        rig.camera.deliver()
        rig.turn()
    assert kept == [[1], [1, 2]]


def test_publishing_takes_from_the_decision_to_the_sending(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loop that was busy elsewhere had published, by its own account, in no time."""
    take = rig.worker.take

    def decided_a_second_ago() -> object:
        found = take()
        return None if found is None else replace(found, found_ns=found.found_ns - 10**9)

    monkeypatch.setattr(rig.worker, "take", decided_a_second_ago)
    for part in "AB":  # the second tells of the first
        rig.line.trigger(part, None)
        rig.camera.deliver()
        rig.turn()
    assert rig.last["durations_ms"]["publish"] >= 1000


def test_a_model_that_answers_again_has_not_failed_in_a_row(rig: Rig) -> None:
    """Three failures in a week had systemd restart a station that worked."""
    rig.engine.scores.extend([None, None, -1.0])
    failed = []
    for part in "ABC":
        rig.line.trigger(part, None)
        rig.camera.deliver()
        rig.turn()
        failed.append(rig.worker._inspector.failed_in_a_row)
    assert failed == [1, 2, 0]


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


def test_of_pictures_that_cannot_be_judged_the_first_in_a_row_is_evidence(
    make_rig: MakeRig,
) -> None:
    """A night in the dark had filled the folder, and the rejects were gone."""
    rig = make_rig("free_run")
    kept: list[str] = []
    store = SimpleNamespace(
        keep=lambda verdict, image: kept.append(verdict.part_id), fault=None, dropped=0
    )
    rig.line._equipment.results._evidence = store  # type: ignore[assignment]
    rig.line.begin()
    for shape in ((*SIZE, 4), (*SIZE, 4), (*SIZE, 3), (*SIZE, 4)):
        rig.camera.deliver(shape, triggered=False)
        rig.turn()
    assert [reason for _, _, reason in rig.verdicts] == [
        "CAMERA_FAULT",
        "CAMERA_FAULT",
        None,
        "CAMERA_FAULT",
    ]
    assert kept == ["000000", "000002", "000003"]


def test_a_night_in_the_dark_does_not_fill_the_log(
    make_rig: MakeRig, caplog: pytest.LogCaptureFixture
) -> None:
    """Two lines for every picture were five million by the morning."""
    rig = make_rig("free_run")
    rig.line.begin()
    for _ in range(5):
        rig.camera.deliver((*SIZE, 4), triggered=False)
        rig.turn()
    assert len(rig.verdicts) == 5

    def told(words: str) -> list[str]:
        return [each.getMessage() for each in caplog.records if words in each.getMessage()]

    (picture,) = told("cannot be inspected")
    assert "frame 000000: " in picture
    assert told("CAMERA_FAULT") == ["no decision, CAMERA_FAULT, 1 so far: part 000000"]
    # Another reason is told at once, and no more often.
    for _ in range(2):
        rig.engine.scores.append(None)
        rig.camera.deliver(triggered=False)
        rig.turn()
    assert told("ENGINE_FAULT") == ["no decision, ENGINE_FAULT, 1 so far: part 000005"]
    (fault,) = told("does not score a picture")
    assert "frame 000005: scripted" in fault


def test_more_triggers_than_the_camera_takes_are_answered_at_once(rig: Rig) -> None:
    outcomes = [rig.line.trigger(part, None) for part in "ABC"]
    assert outcomes[2] is Reason.OVERRUN
    assert rig.verdicts == [("C", NONE, "OVERRUN")]
    for _ in "AB":
        rig.camera.deliver()
        rig.turn()
    assert rig.verdicts[1:] == [("A", "PASS", None), ("B", "PASS", None)]


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


def test_a_free_run_takes_no_picture_that_would_have_to_wait(make_rig: MakeRig) -> None:
    """It would be an old one when it is inspected; the camera keeps the newest until then."""
    rig = make_rig("free_run")
    rig.line.begin()
    rig.engine.goes_on.clear()
    for _ in range(3):
        rig.camera.deliver(triggered=False)
        rig.line.turn()
    assert len(rig.camera.waiting) == 2
    rig.engine.goes_on.set()


def test_of_triggered_pictures_one_waits_ahead_and_the_others_with_the_camera(rig: Rig) -> None:
    """The camera counts those it holds, and refuses triggers when they are too many."""
    rig.engine.goes_on.clear()
    for part in "ABC":
        assert isinstance(rig.line.trigger(part, None), int)
        rig.camera.deliver()
        rig.line.turn()
    assert len(rig.camera.waiting) == 1
    rig.engine.goes_on.set()
    rig.turn()
    assert [part for part, _, _ in rig.verdicts] == ["A", "B", "C"]


def test_a_line_that_has_a_part_in_every_turn_beats(make_rig: MakeRig) -> None:
    rig = make_rig("free_run")
    rig.line.begin()
    beats = len(rig.heartbeats)
    due_s = time.monotonic() + LIMIT_S
    while len(rig.heartbeats) == beats and time.monotonic() < due_s:
        rig.camera.deliver(triggered=False)
        rig.line.turn()
        assert rig.worker.token is not None
        select.select([rig.worker.descriptor], [], [], 10)
    assert len(rig.heartbeats) > beats


def test_an_engine_that_hangs_silences_the_heartbeat_and_is_told_once(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
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
    assert [each.getMessage() for each in caplog.records if each.levelname == "ERROR"] == [
        "the inspection of a part does not end: the engine hangs, no heartbeat is sent"
    ]


def test_systemd_is_not_told_of_a_station_whose_inspections_do_not_end(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    watchdog = rig.line._equipment.herald._watchdog
    told: list[str] = []
    monkeypatch.setattr(watchdog._notifier, "alive", lambda: told.append("alive"))

    def is_fed() -> bool:
        told.clear()
        watchdog.feed()
        return told == ["alive"]

    assert is_fed()
    rig.engine.goes_on.clear()
    rig.line.trigger("A", None)
    rig.camera.deliver()
    while rig.worker.token is None:
        rig.line.turn()
    assert not is_fed()
    rig.engine.goes_on.set()
    rig.turn()
    assert rig.worker.finished == 1
    assert is_fed()


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


def test_parts_that_were_missed_are_numbered_before_the_one_that_tells_of_them(
    make_rig: MakeRig,
) -> None:
    rig = make_rig("camera_triggered")
    rig.line.begin()
    rig.camera.deliver(triggered=False)
    rig.camera.missed = 2
    rig.turn()
    epoch = rig.journal.epoch
    assert rig.verdicts == [
        (f"{epoch}-1", NONE, "OVERRUN"),
        (f"{epoch}-2", NONE, "OVERRUN"),
        (f"{epoch}-3", "PASS", None),
    ]


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


def test_a_picture_that_the_camera_had_given_before_its_trigger_passes_no_part(rig: Rig) -> None:
    """The first part after it froze was judged on what stood there before."""
    rig.line.trigger("A", None)
    rig.camera.deliver(repeats=True)
    rig.turn()
    assert rig.verdicts == [("A", NONE, "CAMERA_FAULT")]
    assert rig.line._faults.picture == "frozen: the same picture as before"


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


def test_a_station_that_must_not_run_without_its_journal_does_not_with_another_one(
    make_rig: MakeRig,
) -> None:
    rig = make_rig(stop_without_journal=True)
    rig.journal.alarm = "what was kept there is not taken over"
    rig.line.begin()
    rig.turn()
    assert rig.line.state is State.ERROR
    assert rig.line.trigger("A", None) is Reason.NOT_READY


def test_a_station_that_may_run_without_its_journal_inspects_on(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Journal, "fault", "disk full")
    rig.turn()
    assert rig.line.state is State.READY
    rig.line.trigger("A", None)
    rig.camera.deliver()
    rig.turn()
    assert rig.verdicts == [("A", "PASS", None)]


def test_a_free_run_takes_no_triggers(make_rig: MakeRig) -> None:
    rig = make_rig("free_run")
    rig.line.begin()
    assert rig.line.trigger("A", None) is Reason.NOT_READY
    assert rig.verdicts == [("A", NONE, "NOT_READY")]


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


def test_the_heartbeat_tells_all_that_an_operator_has_to_know(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = CaptureStatus(CaptureState.RUNNING, "", frames=1, skipped=2, stale=3, restarts=4)
    monkeypatch.setattr(HandCamera, "status", status)
    monkeypatch.setattr(Journal, "lost", 5)
    monkeypatch.setattr(Journal, "forgotten", 6)
    monkeypatch.setattr(Journal, "fault", "disk full")
    herald = rig.line._equipment.herald
    door = SimpleNamespace(malformed=7, forbidden=8, connections=9, admitted=10, closed=11)
    monkeypatch.setattr(herald, "_door", door)
    monkeypatch.setattr(herald, "_evidence", SimpleNamespace(fault="no room", dropped=12))
    rig.line._faults.picture = "dark: mean level 3"
    rig.line._faults.late_in_a_row = 2
    herald._next_beat_s = 0.0
    rig.line.turn()
    beat = rig.heartbeats[-1]
    told = {
        "camera": "running",
        "frames": 1,
        "skipped": 2,
        "stale": 3,
        "camera_restarts": 4,
        "journal_lost": 5,
        "journal_forgotten": 6,
        "journal_fault": "disk full",
        "malformed": 7,
        "forbidden": 8,
        "connections": 9,
        "admitted": 10,
        "closed": 11,
        "evidence_dropped": 12,
        "evidence_fault": "no room",
        "picture_fault": "dark: mean level 3",
        "late_in_a_row": 2,
    }
    assert {name: beat[name] for name in told} == told


def test_a_disk_that_hangs_is_in_the_log_once(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It raises no error, so nobody else would say anything for as long as it hangs."""

    def beat() -> None:
        rig.line._equipment.herald._next_beat_s = 0.0
        rig.line.turn()

    beat()
    for seconds in (5, 6, 7):
        monkeypatch.setattr(Journal, "fault", f"the disk has taken nothing for {seconds} s")
        beat()
    told = [each.getMessage() for each in caplog.records if "journal fault" in each.message]
    assert told == ["journal fault: the disk has taken nothing for 5 s"]
