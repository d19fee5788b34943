"""A camera process that hangs or dies, a camera that does not open, a line that ends."""

from __future__ import annotations

import multiprocessing
import os
import select
import signal
import subprocess
import sys
from multiprocessing import forkserver
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from agent.capture import Capture, CaptureState
from agent.capture import capture as capture_module
from agent.capture import stream as stream_module
from agent.capture.contract import Opened
from agent.capture.stream import KILL_WAIT_S, LEAST_STALL_S
from agent.client.subscriber import SILENT_S
from agent.errors import InputError
from agent.service.herald import HEARTBEAT_S
from tests.agent.capture.taking import PATIENCE_S, make_capture, take_frame, take_until


def gone(pid: int) -> bool:
    """Whether a process is dead; a zombie is."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True
    return status.rsplit(")", 1)[1].split()[0] in "ZX"


def shared_memory_of(pid: int) -> set[str]:
    """The capture's memory that a process has mapped or open."""
    mapped = Path(f"/proc/{pid}/maps").read_text().splitlines()
    opened = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()]
    return {line for line in (*mapped, *opened) if "memfd:normline" in line}


@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGSTOP])
def test_a_dead_or_hung_process_is_a_fault_and_the_camera_comes_back(death: signal.Signals):
    with make_capture("synthetic://?rate=50") as capture:
        capture.start()
        take_frame(capture)
        first_pid = capture.pid
        os.kill(first_pid, death)
        take_until(capture, lambda _: capture.status.state is CaptureState.FAULT)
        assert capture.status.reason
        # Only frames that are taken after the fault count: what was read before it stays valid.
        take_frame(capture)
        assert capture.status.state is CaptureState.RUNNING
        assert capture.status.reason == ""
        assert capture.status.restarts >= 1
        assert gone(first_pid)


def test_a_pause_of_the_whole_machine_costs_no_camera(monkeypatch: pytest.MonkeyPatch):
    """The line woke up first and killed a healthy camera for its silence."""
    clock = SimpleNamespace(now_ms=0, beat_ms=0)
    monkeypatch.setattr(
        stream_module, "time", SimpleNamespace(monotonic_ns=lambda: clock.now_ms * 1_000_000)
    )
    stream = stream_module.Stream.__new__(stream_module.Stream)
    stream.opened, stream._least_stall_s = Opened({}, 0.033, waits=False), LEAST_STALL_S
    stream._ring = SimpleNamespace(last_beat_ns=lambda: clock.beat_ms * 1_000_000)
    stream._looked_ns = stream._silent_ns = 0

    def is_lost(now_ms: int, beat_ms: int) -> bool:
        clock.now_ms, clock.beat_ms = now_ms, beat_ms
        return stream._stall() is not None

    assert not is_lost(1020, 1000)
    assert not is_lost(3000, 1000)  # both had stood still
    assert not is_lost(3040, 3030)
    # One that is silent while the line looks is lost as ever.
    assert [is_lost(now_ms, 3050) for now_ms in (3100, 3150, 3200)] == [False] * 3
    assert is_lost(3201, 3050)


def test_a_process_that_is_stuck_in_the_kernel_is_left_behind(monkeypatch: pytest.MonkeyPatch):
    """No signal ends it; the interpreter waited for its end, and the station for that."""
    with make_capture("synthetic://?rate=50") as capture:
        capture.start()
        take_frame(capture)
        stuck = capture._stream._process
        monkeypatch.setattr(stuck, "kill", lambda: os.kill(stuck.pid, signal.SIGSTOP))
        stuck.kill()
        try:
            take_until(capture, lambda _: capture.status.state is CaptureState.FAULT)
            assert stuck.is_alive()
            assert stuck not in multiprocessing.active_children()
            take_frame(capture)
        finally:
            os.kill(stuck.pid, signal.SIGKILL)


def test_a_station_that_gives_up_a_process_is_not_silent_for_so_long_that_it_passes_for_dead():
    """Its gate took back every PASS on the belt, at every try to open the camera."""
    # Waited for when it has ended, and again when it is killed.
    assert HEARTBEAT_S + 2 * KILL_WAIT_S < SILENT_S / 2


def test_a_capture_process_that_cannot_be_started_is_a_fault_that_passes(
    monkeypatch: pytest.MonkeyPatch,
):
    """With no process or memory left, the whole station ended, some of it without a word."""
    monkeypatch.setattr(capture_module, "FIRST_BACK_OFF_S", 0.05)
    refusals = iter([EOFError(), OSError(24, "Too many open files")])
    real = capture_module.Stream

    def refused(*arguments: object) -> object:
        for error in refusals:
            raise error
        return real(*arguments)  # type: ignore[arg-type]

    with make_capture("synthetic://?rate=50") as capture:
        capture.start()
        take_frame(capture)
        monkeypatch.setattr(capture_module, "Stream", refused)
        os.kill(capture.pid, signal.SIGKILL)
        take_until(capture, lambda _: "cannot be started" in capture.status.reason)
        take_frame(capture)
        assert capture.status.restarts >= 3


def test_when_no_capture_process_can_be_started_any_more_the_capture_ends_and_says_so():
    """Its socket was tidied away after quiet weeks, and the first fault of the camera lasted."""
    with make_capture("synthetic://?rate=50") as capture:
        capture.start()
        take_frame(capture)
        socket = Path(forkserver._forkserver._forkserver_address)
        away = socket.rename(socket.with_name("away"))
        try:
            os.kill(capture.pid, signal.SIGKILL)
            with pytest.raises(InputError, match="no capture process can be started any more"):
                take_until(capture, lambda _: capture.status.state is CaptureState.ENDED)
        finally:
            away.rename(socket)
        assert capture.status.state is CaptureState.ENDED


@pytest.mark.parametrize("error", [MemoryError(), OSError(12, "Cannot allocate memory")])
@pytest.mark.parametrize("mode", ["triggered", "camera_triggered"])
def test_a_frame_for_which_there_is_no_memory_is_a_fault_that_passes(
    pictures: Path, mode: str, error: Exception, monkeypatch: pytest.MonkeyPatch
):
    """It ended the station."""
    refusals = iter([error])
    real = capture_module.Stream.take_image

    def refused(*arguments: object) -> object:
        for error in refusals:
            raise error
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(capture_module.Stream, "take_image", refused)
    with make_capture(f"folder://{pictures}?rate=20&loop=true", mode) as capture:
        capture.start()
        if mode == "triggered":
            assert capture.trigger("a")
        take_until(capture, lambda _: capture.status.state is CaptureState.FAULT)
        assert "cannot be taken over: " in capture.status.reason
        assert not capture.status.reason.endswith(": ")
        # Each part that was there is told of.
        assert capture.lost_tokens() == (("a",) if mode == "triggered" else ())
        assert capture.missed_parts() == (mode == "camera_triggered")
        take_until(capture, lambda _: capture.status.state is CaptureState.RUNNING)
        if mode == "triggered":
            assert capture.trigger("b")
        take_frame(capture)
        assert capture.status.restarts == 1


def test_triggers_that_a_fault_takes_away_are_named_once():
    # One frame in ten seconds: the triggers are still without a frame when the process dies.
    with make_capture("synthetic://?rate=0.1&wait=true", "triggered") as capture:
        capture.start()
        assert capture.trigger("first")
        assert take_frame(capture).token == "first"
        assert capture.trigger("a") and capture.trigger("b")
        os.kill(capture.pid, signal.SIGKILL)
        take_until(capture, lambda _: capture.status.state is CaptureState.FAULT)
        assert not capture.trigger("c")
        assert capture.lost_tokens() == ("a", "b")
        assert capture.lost_tokens() == ()
        take_until(capture, lambda _: capture.status.state is CaptureState.RUNNING)
        assert capture.trigger("d")
        assert take_frame(capture).token == "d"


def test_a_camera_that_hangs_also_when_it_is_opened_again_is_back_when_it_hangs_no_more(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(capture_module, "OPEN_LIMIT_S", 1000.0)
    # Reading this file is what the camera does first, and nobody writes into a pipe.
    hang = pictures.parent / "faults"
    with make_capture(f"folder://{pictures}?rate=50&loop=true&faults={hang}") as capture:
        capture.start()
        take_frame(capture)
        os.mkfifo(hang)
        take_until(capture, lambda _: capture.status.restarts >= 2)
        hang.unlink()
        take_until(capture, lambda _: capture.status.state is CaptureState.RUNNING)
        take_frame(capture)


def test_who_has_no_deadline_may_wait_longer_for_a_picture(pictures: Path):
    """As a calibration may, of a line whose parts come seconds apart."""
    slow = pictures.parent / "faults"
    uri = f"folder://{pictures}?rate=0&loop=true&faults={slow}"
    with Capture(uri, "free_run", pending_limit=1, least_stall_s=1000.0) as capture:
        capture.start()
        assert capture.waits
        take_frame(capture)
        os.mkfifo(slow)
        while capture.take(2 * LEAST_STALL_S) is not None:
            pass
        assert capture.status.state is CaptureState.RUNNING
        writer = os.open(slow, os.O_WRONLY)
        slow.unlink()
        os.close(writer)
        take_frame(capture)
        assert capture.status.restarts == 0


def test_take_returns_at_once_when_the_camera_fails():
    with make_capture("synthetic://?rate=50") as capture:
        capture.start()
        take_frame(capture)
        os.kill(capture.pid, signal.SIGKILL)
        # One that waits on would give a frame of the next opening.
        while capture.take(PATIENCE_S) is not None:
            assert capture.status.restarts == 0
        assert capture.status.state is CaptureState.FAULT


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("folder:///nowhere", "nowhere is not a folder"),
        ("rtsp://anna:s3cret@127.0.0.1:9/live", "rtsp://127.0.0.1:9/live does not open"),
        ("synthetic://?colour=red", "unknown key colour"),
    ],
)
def test_a_camera_that_does_not_open_is_refused(uri: str, said: str):
    with make_capture(uri) as capture, pytest.raises(InputError, match=said) as caught:
        capture.start()
    assert "s3cret" not in str(caught.value)


def test_an_image_that_cannot_be_read_ends_the_capture_and_is_named(tmp_path: Path):
    cv2.imwrite(str(tmp_path / "1.png"), np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "2.png").write_bytes(b"no image")
    with make_capture(f"folder://{tmp_path}?rate=0") as capture:
        capture.start()
        assert take_frame(capture).frame.name == "1.png"
        with pytest.raises(InputError, match=r"2\.png"):
            take_until(capture, lambda captured: captured is not None)
        assert capture.pid is None


def test_stop_leaves_no_process_and_no_memory():
    already = shared_memory_of(os.getpid())
    with make_capture("synthetic://?rate=50") as capture:
        capture.start()
        take_frame(capture)
        descriptor = os.pidfd_open(capture.pid)
        assert shared_memory_of(os.getpid()) > already
    ended, _, _ = select.select([descriptor], [], [], PATIENCE_S)
    os.close(descriptor)
    assert ended
    assert shared_memory_of(os.getpid()) == already
    assert capture.status.state is CaptureState.ENDED


LINE = """
import sys
from agent.capture import Capture

if __name__ == "__main__":
    capture = Capture("synthetic://?rate=50", "free_run", pending_limit=8)
    capture.start()
    heavy = [name for name in ("openvino", "onnxruntime", "torch") if name in sys.modules]
    print(capture.pid, *heavy, flush=True)
    while True:
        capture.take(1)
"""


def test_the_process_ends_when_the_line_is_killed_and_never_loads_a_runtime(tmp_path: Path):
    script = tmp_path / "line.py"
    script.write_text(LINE)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    line = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=environment
    )
    with line:
        pid, *heavy = line.stdout.readline().split()
        libraries = Path(f"/proc/{pid}/maps").read_text()
        descriptor = os.pidfd_open(int(pid))
        line.kill()
    ended, _, _ = select.select([descriptor], [], [], PATIENCE_S)
    os.close(descriptor)
    assert ended, "the capture process outlives its line"
    assert not heavy
    assert "openvino" not in libraries and "onnxruntime" not in libraries
