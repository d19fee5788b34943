"""The thread that inspects hands its findings to the loop, whatever the two are doing."""

from __future__ import annotations

import os
import select
import threading
import time
from typing import Any, cast

import pytest

from agent.capture import Captured
from agent.service.inspect import Inspector
from agent.service.worker import MOST_HUNG_S, Worker

LIMIT_S = 20.0


class Stub:
    """An inspector that has nothing to do."""

    def inspect(self, frame: Any) -> tuple[None, None]:
        return None, None

    def watch_drift(self) -> None:
        pass

    def stir(self) -> None:
        pass


class Shot:
    frame = None


def is_signalled(worker: Worker, wait_s: float = 0.0) -> bool:
    return bool(select.select([worker.descriptor], [], [], wait_s)[0])


def test_a_finding_taken_before_its_signal_has_come_is_no_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The loop may look of its own accord just then; it ended a station once."""
    taken = threading.Event()
    write = os.eventfd_write

    def late_write(descriptor: int, value: int) -> None:
        assert taken.wait(LIMIT_S)
        write(descriptor, value)

    monkeypatch.setattr("agent.service.worker.os.eventfd_write", late_write)
    worker = Worker(cast(Inspector, Stub()))
    worker.inspect("A17", cast(Captured, Shot()))
    end_s = time.monotonic() + LIMIT_S
    while (finding := worker.take()) is None:
        assert time.monotonic() < end_s
        threading.Event().wait(0.001)
    assert finding.token == "A17"
    taken.set()
    # The signal that comes after all wakes the loop once, and not for ever.
    assert is_signalled(worker, LIMIT_S)
    assert worker.take() is None
    assert not is_signalled(worker)
    worker.close()


class Watched(Stub):
    """An inspector that notes what it is asked to do."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def inspect(self, frame: Any) -> tuple[None, None]:
        self.asked.append("inspect")
        return None, None

    def watch_drift(self) -> None:
        self.asked.append("watch")


def test_no_verdict_waits_for_the_drift_monitor_and_no_part_escapes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a line that never rests, each part is watched when the next one is there."""
    monkeypatch.setattr("agent.service.worker.REST_S", LIMIT_S)
    inspector = Watched()
    worker = Worker(cast(Inspector, inspector))
    for token in ("A1", "A2", "A3"):
        worker.inspect(token, cast(Captured, Shot()))
        assert is_signalled(worker, LIMIT_S) and worker.take() is not None
    worker.close()
    assert inspector.asked == ["watch", "inspect"] * 3


class Restless(Stub):
    """An inspector that counts how often it is kept awake."""

    def __init__(self) -> None:
        self.stirred = 0

    def stir(self) -> None:
        self.stirred += 1


def test_the_engine_is_kept_awake_between_parts_and_rests_when_the_line_stands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A core that slept between two parts answers late; one that never sleeps is for nothing."""
    monkeypatch.setattr("agent.service.worker.REST_S", 0.001)
    monkeypatch.setattr("agent.service.worker.AWAKE_S", 0.3)
    inspector = Restless()
    worker = Worker(cast(Inspector, inspector))
    rested = []
    for part in ("A17", "A18"):
        before = inspector.stirred
        worker.inspect(part, cast(Captured, Shot()))
        assert is_signalled(worker, LIMIT_S)
        assert worker.take() is not None
        end_s = time.monotonic() + LIMIT_S
        while inspector.stirred < before + 10:
            assert time.monotonic() < end_s
            threading.Event().wait(0.001)
        stirred = -1
        while inspector.stirred != stirred:
            assert time.monotonic() < end_s
            stirred = inspector.stirred
            threading.Event().wait(0.4)
        rested.append(stirred)
    assert rested[0] < rested[1] < 1000
    worker.close()


class Held(Stub):
    """An inspector that can be held up."""

    def __init__(self) -> None:
        self.goes_on = threading.Event()
        self.goes_on.set()

    def inspect(self, frame: Any) -> tuple[None, None]:
        self.goes_on.wait(LIMIT_S)
        return None, None


def test_a_machine_that_paused_in_an_inspection_still_tells_one_that_hangs() -> None:
    """After an hour's pause only an inspection of ten hours would have been taken for one."""
    inspector = Held()
    worker = Worker(cast(Inspector, inspector))
    worker.inspect("A17", cast(Captured, Shot()))
    worker._began_s -= 3600.0
    assert is_signalled(worker, LIMIT_S) and worker.take() is not None
    inspector.goes_on.clear()
    worker.inspect("A18", cast(Captured, Shot()))
    assert not worker.is_hung
    worker._began_s -= MOST_HUNG_S
    assert worker.is_hung
    inspector.goes_on.set()
    worker.close()


def test_an_inspection_is_held_against_the_slowest_before_it() -> None:
    """One that takes its usual time would silence the station, as would waiting for a part."""
    inspector = Held()
    worker = Worker(cast(Inspector, inspector))
    assert not worker.is_hung
    inspector.goes_on.clear()
    worker.inspect("A17", cast(Captured, Shot()))
    assert not worker.is_hung  # the first of all
    worker._began_s -= 0.5
    inspector.goes_on.set()
    assert is_signalled(worker, LIMIT_S) and worker.take() is not None
    worker.inspect("A18", cast(Captured, Shot()))
    assert is_signalled(worker, LIMIT_S) and worker.take() is not None
    inspector.goes_on.clear()
    worker.inspect("A19", cast(Captured, Shot()))
    worker._began_s -= 3.0
    assert not worker.is_hung
    inspector.goes_on.set()
    worker.close()


def test_an_inspection_that_hangs_is_left_behind_with_what_it_still_uses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A station that waits for it never ends; and its signal may reach what came in its place."""
    monkeypatch.setattr("agent.service.worker.END_S", 0.01)
    inspector = Held()
    inspector.goes_on.clear()
    worker = Worker(cast(Inspector, inspector))
    worker.inspect("A17", cast(Captured, Shot()))
    worker.close()
    assert worker._thread.is_alive()
    os.fstat(worker.descriptor)
    inspector.goes_on.set()
    worker._thread.join(LIMIT_S)
    assert is_signalled(worker)
    os.close(worker.descriptor)


class Broken(Stub):
    """An inspector that cannot even be kept awake."""

    def __init__(self, defect: BaseException) -> None:
        self.defect = defect

    def stir(self) -> None:
        raise self.defect


@pytest.mark.parametrize("defect", [LookupError, MemoryError, SystemExit])
def test_a_defect_between_parts_ends_the_station_and_does_not_hang_it(
    defect: type[BaseException],
) -> None:
    """A thread that died unseen would leave every part after it without an answer."""
    worker = Worker(cast(Inspector, Broken(defect("no such engine"))))
    assert is_signalled(worker, LIMIT_S)
    with pytest.raises(defect):
        worker.take()
    worker.close()
