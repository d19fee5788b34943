"""systemd is told that the station lives only when every stage has done its work."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from agent.capture import CaptureState
from agent.service.notify import Notifier
from agent.service.watchdog import FAILED_IN_A_ROW, Watchdog


class Station:
    """Counters of stages that a test moves, and systemd's end of the socket."""

    def __init__(self, folder: Path) -> None:
        self.systemd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.systemd.bind(str(folder / "notify"))
        self.systemd.setblocking(False)
        self.notifier = Notifier({"NOTIFY_SOCKET": str(folder / "notify")})
        self.capture = SimpleNamespace(
            last_beat_ns=1, status=SimpleNamespace(state=CaptureState.RUNNING)
        )
        self.inspector = SimpleNamespace(failed_in_a_row=0)
        self.worker = SimpleNamespace(token=None, finished=0)
        self.watchdog = Watchdog(self.notifier, self.capture, self.inspector, self.worker)

    def work(self, *stages: str) -> None:
        """Let stages advance; the worker holds a frame, and an inference has finished."""
        self.worker.token = "A17"
        if "capture" in stages:
            self.capture.last_beat_ns += 1
        if "inference" in stages:
            self.worker.finished += 1

    def is_fed(self) -> bool:
        self.watchdog.feed()
        try:
            return self.systemd.recv(64) == b"WATCHDOG=1"
        except BlockingIOError:
            return False


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    station = Station(tmp_path)
    yield station
    station.notifier.close()
    station.systemd.close()


@pytest.mark.parametrize(
    ("stages", "fed"),
    [
        (("capture", "inference"), True),
        (("inference",), False),
        (("capture",), False),
        ((), False),
    ],
)
def test_fed_when_all_have_advanced(station: Station, stages: tuple[str, ...], fed: bool) -> None:
    station.work(*stages)
    assert station.is_fed() is fed


def test_what_advances_by_turns_feeds_in_the_end(station: Station) -> None:
    station.work("capture")
    assert not station.is_fed()
    station.work("inference")
    assert station.is_fed()
    assert not station.is_fed()


def test_a_model_that_has_no_frame_is_alive(station: Station) -> None:
    station.work("capture")
    station.worker.token = None
    assert station.is_fed()


def test_a_model_that_only_fails_is_not_alive_until_it_works_again(station: Station) -> None:
    station.inspector.failed_in_a_row = FAILED_IN_A_ROW
    station.work("capture", "inference")
    assert not station.is_fed()
    station.inspector.failed_in_a_row = 0
    assert station.is_fed()


def test_a_model_that_fails_once_before_a_pause_is_alive(station: Station) -> None:
    station.inspector.failed_in_a_row = 1
    for _ in range(3):
        station.work("capture", "inference")
        assert station.is_fed()


@pytest.mark.parametrize("state", [CaptureState.FAULT, CaptureState.STARTING, CaptureState.ENDED])
def test_a_camera_that_is_being_opened_again_starves_nobody(
    station: Station, state: CaptureState
) -> None:
    station.capture.status.state = state
    station.work("inference")
    assert station.is_fed()
