"""Capture with real processes: frames in order, and what happens when the process hangs or dies."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.camera import product
from agent.capture import Capture, Captured, CaptureState
from agent.capture import capture as capture_module
from agent.errors import InputError

PATIENCE_S = 40.0


def take_until(capture: Capture, reached: Callable[[Captured | None], bool]) -> Captured | None:
    """Take until a result fulfils `reached`; fails the test when that does not come."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        captured = capture.take(0.2)
        if reached(captured):
            return captured
    pytest.fail(f"did not come within {PATIENCE_S} s: {capture.status}")


def be_busy(seconds: float) -> None:
    """A line that does something else for a while; the camera goes on meanwhile."""
    threading.Event().wait(seconds)


def take_frame(capture: Capture) -> Captured:
    captured = take_until(capture, lambda captured: captured is not None)
    assert captured is not None
    return captured


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


def test_frames_are_the_cameras_pixels_in_order_up_to_the_end():
    with Capture("synthetic://?rate=0&parts=4&seed=3&defect_rate=0") as capture:
        capture.start()
        assert capture.status.state is CaptureState.RUNNING
        frames = [take_frame(capture).frame for _ in range(4)]
        take_until(capture, lambda _: capture.status.state is CaptureState.ENDED)
        assert capture.take(0) is None
    assert [f.name for f in frames] == ["000000", "000001", "000002", "000003"]
    for index, frame in enumerate(frames):
        assert np.array_equal(frame.image, product.render(3, index, 0.0)[0])
    assert capture.status.frames == 4
    assert capture.status.skipped == 0


def test_a_frame_is_the_lines_own_copy():
    with Capture("synthetic://?rate=0&parts=8") as capture:
        capture.start()
        first = take_frame(capture).frame
        kept = first.image.copy()
        for _ in range(7):
            take_frame(capture)
        assert np.array_equal(first.image, kept)


def test_a_source_that_waits_loses_nothing_to_a_slow_line():
    with Capture("synthetic://?rate=200&parts=5&wait=true") as capture:
        capture.start()
        names = []
        for _ in range(5):
            be_busy(0.03)
            names.append(take_frame(capture).frame.name)
    assert names == [f"{i:06d}" for i in range(5)]


def test_a_slow_line_gets_the_newest_frame_and_the_others_are_counted():
    with Capture("synthetic://?rate=50") as capture:
        capture.start()
        first = take_frame(capture).frame
        be_busy(0.5)
        asked_ns = time.monotonic_ns()
        second = take_frame(capture).frame
        assert second.frame_id > first.frame_id + 1
        # Every frame between the two that were taken was skipped, and no other.
        assert capture.status.skipped == second.frame_id - first.frame_id - 1
        # Twenty-five were captured meanwhile; the oldest of them would be half a second old.
        assert asked_ns - second.captured_ns < 250e6


def test_what_passes_before_the_line_has_started_is_not_skipped():
    with Capture("synthetic://?rate=100") as capture:
        capture.start()
        be_busy(0.3)
        take_frame(capture)
        assert capture.status.skipped == 0


def test_images_of_growing_size_fit(tmp_path: Path):
    sizes = [(8, 8), (300, 200), (20, 30), (700, 900)]
    for index, size in enumerate(sizes):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.full((*size, 3), 40 * index + 9, np.uint8))
    with Capture(f"folder://{tmp_path}?rate=0") as capture:
        capture.start()
        images = [take_frame(capture).frame.image for _ in sizes]
    assert [image.shape[:2] for image in images] == sizes
    assert [int(image.max()) for image in images] == [9, 49, 89, 129]
    assert [int(image.min()) for image in images] == [9, 49, 89, 129]


@pytest.mark.parametrize("query", ["rate=0", "rate=100"])
def test_every_trigger_gets_its_own_later_frame_in_order(query: str):
    with Capture(f"synthetic://?{query}", "triggered") as capture:
        capture.start()
        asked_ns = {}
        for part_id in ("a", "b", "c"):
            asked_ns[part_id] = time.monotonic_ns()
            assert capture.trigger(part_id)
        answers = [take_frame(capture) for _ in asked_ns]
        assert [answer.part_id for answer in answers] == ["a", "b", "c"]
        assert len({answer.frame.frame_id for answer in answers}) == 3
        for answer in answers:
            assert answer.frame.captured_ns > asked_ns[answer.part_id]
        assert capture.take(0.1) is None


def test_too_many_triggers_are_refused_until_a_frame_is_taken():
    with Capture("synthetic://?rate=0", "triggered", pending_limit=2) as capture:
        capture.start()
        assert [capture.trigger(part) for part in "abc"] == [True, True, False]
        assert take_frame(capture).part_id == "a"
        assert capture.trigger("d")
        assert [take_frame(capture).part_id for _ in range(2)] == ["b", "d"]


@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGSTOP])
def test_a_dead_or_hung_process_is_a_fault_and_the_camera_comes_back(death: signal.Signals):
    with Capture("synthetic://?rate=50") as capture:
        capture.start()
        before = take_frame(capture)
        first_pid = capture.pid
        os.kill(first_pid, death)
        take_until(capture, lambda _: capture.status.state is CaptureState.FAULT)
        assert capture.status.reason
        # Only frames that are taken after the fault count: what was read before it stays valid.
        after = take_frame(capture)
        assert after.stream_epoch > before.stream_epoch
        assert capture.status.state is CaptureState.RUNNING
        assert capture.status.reason == ""
        assert capture.status.restarts >= 1
        assert gone(first_pid)


def test_triggers_that_a_fault_takes_away_are_named_once():
    # One frame in ten seconds: the triggers are still without a frame when the process dies.
    with Capture("synthetic://?rate=0.1&wait=true", "triggered") as capture:
        capture.start()
        assert capture.trigger("first")
        assert take_frame(capture).part_id == "first"
        assert capture.trigger("a") and capture.trigger("b")
        os.kill(capture.pid, signal.SIGKILL)
        take_until(capture, lambda _: capture.status.state is CaptureState.FAULT)
        assert not capture.trigger("c")
        assert capture.lost_parts() == ("a", "b")
        assert capture.lost_parts() == ()
        take_until(capture, lambda _: capture.status.state is CaptureState.RUNNING)
        assert capture.trigger("d")
        assert take_frame(capture).part_id == "d"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index in range(6):
        cv2.imwrite(str(folder / f"{index}.png"), np.full((8, 8, 3), 10 * index, np.uint8))
    return folder


def test_every_frame_of_a_camera_that_is_triggered_itself_is_given(pictures: Path):
    with Capture(f"folder://{pictures}?rate=50", "camera_triggered") as capture:
        capture.start()
        names = [take_frame(capture).frame.name for _ in range(6)]
    assert names == [f"{index}.png" for index in range(6)]
    assert capture.missed_parts() == 0


def test_frames_that_a_line_has_no_place_for_are_missed_and_counted(pictures: Path):
    # Two may wait, and one of them is on its way; the line takes none until all six have come.
    with Capture(f"folder://{pictures}?rate=100", "camera_triggered", pending_limit=1) as capture:
        capture.start()
        be_busy(0.5)
        given = 0
        while capture.status.state is CaptureState.RUNNING:
            given += capture.take(0.2) is not None
        assert given == 3
    # Those after the last that was given are told by nothing but the end.
    assert capture.missed_parts() <= 3


def test_a_camera_that_waits_for_its_trigger_is_not_taken_for_dead(pictures: Path):
    with Capture(f"folder://{pictures}?rate=0.1", "camera_triggered") as capture:
        capture.start()
        take_frame(capture)
        assert capture.take(0.6) is None
        assert capture.status.state is CaptureState.RUNNING
        os.kill(capture.pid, signal.SIGSTOP)
        take_until(capture, lambda _: capture.status.state is CaptureState.FAULT)


def test_a_camera_that_hangs_also_when_it_is_opened_again_is_back_when_it_hangs_no_more(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(capture_module, "OPEN_LIMIT_S", 1000.0)
    # Reading this file is what the camera does first, and nobody writes into a pipe.
    hang = pictures.parent / "faults"
    with Capture(f"folder://{pictures}?rate=50&loop=true&faults={hang}") as capture:
        capture.start()
        take_frame(capture)
        os.mkfifo(hang)
        take_until(capture, lambda _: capture.status.restarts >= 2)
        hang.unlink()
        take_until(capture, lambda _: capture.status.state is CaptureState.RUNNING)
        assert take_frame(capture).stream_epoch >= 2


def test_a_line_that_was_held_up_is_not_shown_the_past():
    with Capture("synthetic://?rate=50") as capture:
        capture.start()
        take_frame(capture)
        # Ask for a frame, and leave it where it was put.
        assert capture.take(0) is None
        be_busy(0.5)
        fresh = take_frame(capture).frame
        assert time.monotonic_ns() - fresh.captured_ns < 250e6
        assert capture.status.stale == 1


def test_take_returns_at_once_when_the_camera_fails():
    with Capture("synthetic://?rate=50") as capture:
        capture.start()
        take_frame(capture)
        os.kill(capture.pid, signal.SIGKILL)
        began = time.monotonic()
        while capture.status.state is CaptureState.RUNNING:
            capture.take(PATIENCE_S)
        assert time.monotonic() - began < PATIENCE_S / 2


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("folder:///nowhere", "nowhere is not a folder"),
        ("rtsp://anna:s3cret@127.0.0.1:9/live", "rtsp://127.0.0.1:9/live does not open"),
        ("synthetic://?colour=red", "unknown key colour"),
    ],
)
def test_a_camera_that_does_not_open_is_refused(uri: str, said: str):
    with Capture(uri) as capture, pytest.raises(InputError, match=said) as caught:
        capture.start()
    assert "s3cret" not in str(caught.value)


def test_an_image_that_cannot_be_read_ends_the_capture_and_is_named(tmp_path: Path):
    cv2.imwrite(str(tmp_path / "1.png"), np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "2.png").write_bytes(b"no image")
    with Capture(f"folder://{tmp_path}?rate=0") as capture:
        capture.start()
        assert take_frame(capture).frame.name == "1.png"
        with pytest.raises(InputError, match=r"2\.png"):
            take_until(capture, lambda captured: captured is not None)
        assert capture.pid is None


def test_stop_leaves_no_process_and_no_memory():
    already = shared_memory_of(os.getpid())
    with Capture("synthetic://?rate=50") as capture:
        capture.start()
        take_frame(capture)
        pid = capture.pid
        assert shared_memory_of(os.getpid()) > already
    assert gone(pid)
    assert shared_memory_of(os.getpid()) == already
    assert capture.status.state is CaptureState.ENDED


LINE = """
import sys
from agent.capture import Capture

if __name__ == "__main__":
    capture = Capture("synthetic://?rate=50")
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
