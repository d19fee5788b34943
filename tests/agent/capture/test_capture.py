"""Capture with a real process: frames in order, the newest where the line is slow, triggers."""

from __future__ import annotations

import os
import signal
import time
from multiprocessing import forkserver
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.camera import product
from agent.capture import Capture, Captured, CaptureState
from agent.capture.contract import Missed, Mode, Opened, Ready, ToChild
from agent.capture.stream import LEAST_STALL_S
from tests.agent.capture.taking import be_busy, make_capture, take_frame, take_until


def test_frames_are_the_cameras_pixels_in_order_up_to_the_end():
    with make_capture("synthetic://?rate=0&parts=4&seed=3&defect_rate=0") as capture:
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
    with make_capture("synthetic://?rate=0&parts=8") as capture:
        capture.start()
        first = take_frame(capture).frame
        kept = first.image.copy()
        for _ in range(7):
            take_frame(capture)
        assert np.array_equal(first.image, kept)


def test_a_source_that_waits_loses_nothing_to_a_slow_line():
    with make_capture("synthetic://?rate=200&parts=5&wait=true") as capture:
        capture.start()
        names = []
        for _ in range(5):
            be_busy(0.03)
            names.append(take_frame(capture).frame.name)
    assert names == [f"{i:06d}" for i in range(5)]


def test_a_slow_line_gets_the_newest_frame_and_the_others_are_counted():
    with make_capture("synthetic://?rate=50") as capture:
        capture.start()
        first = take_frame(capture).frame
        be_busy(0.5)
        second = take_frame(capture).frame
        assert second.frame_id > first.frame_id + 1
        # Every frame between the two that were taken was skipped, and no other.
        assert capture.status.skipped == second.frame_id - first.frame_id - 1


def test_what_passes_before_the_line_has_started_is_not_skipped():
    with make_capture("synthetic://?rate=100") as capture:
        capture.start()
        be_busy(0.3)
        take_frame(capture)
        assert capture.status.skipped == 0


def test_images_of_growing_size_fit(tmp_path: Path):
    sizes = [(8, 8), (300, 200), (20, 30), (700, 900)]
    for index, size in enumerate(sizes):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.full((*size, 3), 40 * index + 9, np.uint8))
    with make_capture(f"folder://{tmp_path}?rate=0") as capture:
        capture.start()
        images = [take_frame(capture).frame.image for _ in sizes]
    assert [image.shape[:2] for image in images] == sizes
    assert [int(image.max()) for image in images] == [9, 49, 89, 129]
    assert [int(image.min()) for image in images] == [9, 49, 89, 129]


@pytest.mark.parametrize("query", ["rate=0", "rate=100"])
def test_every_trigger_gets_its_own_later_frame_in_order(query: str):
    with make_capture(f"synthetic://?{query}", "triggered") as capture:
        capture.start()
        asked_ns = {}
        for part_id in ("a", "b", "c"):
            asked_ns[part_id] = time.monotonic_ns()
            assert capture.trigger(part_id)
        answers = [take_frame(capture) for _ in asked_ns]
        assert [answer.token for answer in answers] == ["a", "b", "c"]
        assert len({answer.frame.frame_id for answer in answers}) == 3
        for answer in answers:
            assert answer.frame.captured_ns > asked_ns[answer.token]
        assert capture.take(0.1) is None


def test_the_first_part_of_a_camera_that_has_frozen_is_told_from_one_that_it_saw(tmp_path: Path):
    """No part before it had this picture, and it passed on what was there before its trigger."""
    faults = tmp_path / "faults"
    with make_capture(f"synthetic://?rate=50&faults={faults}", "triggered") as capture:
        capture.start()
        assert capture.trigger("a")
        assert not take_frame(capture).frame.repeats
        new = tmp_path / "new"
        new.write_text("frozen")
        new.rename(faults)
        assert capture.trigger("b")
        assert take_frame(capture).frame.repeats


def test_too_many_triggers_are_refused_until_a_frame_is_taken():
    with make_capture("synthetic://?rate=0", "triggered", pending_limit=2) as capture:
        capture.start()
        assert [capture.trigger(part) for part in "abc"] == [True, True, False]
        assert take_frame(capture).token == "a"
        assert capture.trigger("d")
        assert [take_frame(capture).token for _ in range(2)] == ["b", "d"]


def test_triggers_that_are_forgotten_leave_the_next_picture_to_the_next_part():
    with make_capture("synthetic://?rate=50", "triggered", pending_limit=2) as capture:
        capture.start()
        for late in ("ab", "cd"):
            assert all(capture.trigger(token) for token in late)
            for token in late:
                capture.forget(token)
        assert capture.trigger("e")
        assert take_frame(capture).token == "e"
        assert capture.lost_tokens() == ()


def test_every_frame_of_a_camera_that_is_triggered_itself_is_given(pictures: Path):
    with make_capture(f"folder://{pictures}?rate=50", "camera_triggered") as capture:
        capture.start()
        names = [take_frame(capture).frame.name for _ in range(6)]
    assert names == [f"{index}.png" for index in range(6)]
    assert capture.missed_parts() == 0


def test_a_line_that_takes_part_after_part_does_not_lose_its_camera(tmp_path: Path):
    """Below 50 ms apart, parts kept the process from showing that it lives; it was killed."""
    many = tmp_path / "many"
    many.mkdir()
    for index in range(40):
        cv2.imwrite(str(many / f"{index:02}.png"), np.full((8, 8, 3), index, np.uint8))
    with make_capture(f"folder://{many}?rate=40", "camera_triggered") as capture:
        capture.start()
        names = [take_frame(capture).frame.name for _ in range(40)]
        assert capture.status.restarts == 0
    assert names == [f"{index:02}.png" for index in range(40)]


def test_frames_that_a_line_has_no_place_for_are_missed_and_counted(pictures: Path):
    uri = f"folder://{pictures}?rate=100&loop=true"
    with make_capture(uri, "camera_triggered", pending_limit=1) as capture:
        capture.start()
        ids: list[int] = []
        missed = 0
        while not missed and len(ids) < 100:
            be_busy(0.05)
            ids.append(take_frame(capture).frame.frame_id)
            missed = capture.missed_parts()
        # Every frame before the last one that was not given was counted, and no other.
        assert missed == ids[-1] + 1 - len(ids) > 0


def test_a_camera_that_waits_for_its_trigger_is_not_taken_for_dead(pictures: Path):
    # Reading this file is what the camera does before each picture, and nobody writes into a pipe.
    no_more = pictures.parent / "faults"
    uri = f"folder://{pictures}?rate=10&loop=true&faults={no_more}"
    with make_capture(uri, "camera_triggered") as capture:
        capture.start()
        take_frame(capture)
        os.mkfifo(no_more)
        while capture.take(0.5) is not None:
            pass
        # Four times as long as a camera may stay without a frame in another mode.
        assert capture.take(1.2) is None
        assert capture.status.state is CaptureState.RUNNING
        os.kill(capture.pid, signal.SIGSTOP)
        take_until(capture, lambda _: capture.status.state is CaptureState.FAULT)
        assert "no frame for" in capture.status.reason


def test_a_line_that_was_held_up_is_not_shown_the_past():
    with make_capture("synthetic://?rate=50") as capture:
        capture.start()
        take_frame(capture)
        # Ask for a frame, and leave it where it was put.
        assert capture.take(0) is None
        be_busy(0.5)
        asked_ns = time.monotonic_ns()
        fresh = take_frame(capture).frame
        assert asked_ns - fresh.captured_ns < LEAST_STALL_S * 1e9
        assert capture.status.stale == 1


class Hand:
    """A capture process that the test speaks for."""

    opened = Opened({}, 0.02, waits=False)
    stall_s = age_s = 600.0

    def send(self, message: ToChild) -> None:
        """It knows already."""

    def take_image(self, ready: Ready) -> np.ndarray:
        return np.zeros(ready.shape, ready.dtype)

    def close(self) -> None:
        """Nothing of it stays."""


def make_running(mode: Mode, pending_limit: int = 8, latency_ms: float = 0) -> Capture:
    capture = make_capture("synthetic://?rate=50", mode, pending_limit, latency_ms)
    capture._stream, capture._state = Hand(), CaptureState.RUNNING
    return capture


def deliver(
    capture: Capture, token: str | None, captured_ns: int, skipped: int = 0
) -> Captured | None:
    shape, dtype = (2, 2, 3), np.dtype(np.uint8)
    ready = Ready(0, shape, dtype, 0, "000000", captured_ns, token, skipped, False)
    return capture._captured(capture._stream, ready)


def test_a_picture_from_before_its_trigger_is_never_given():
    """A driver's buffer holds it: it shows the part before, which may have been a good one."""
    capture = make_running("triggered")
    before_ns = time.monotonic_ns()
    assert all(capture.trigger(token) for token in "abc")
    assert deliver(capture, "a", before_ns) is None
    assert (capture.lost_tokens(), capture.status.stale) == (("a",), 1)
    now_ns = time.monotonic_ns()
    captured = deliver(capture, "b", now_ns)
    assert captured is not None and captured.token == "b"
    assert capture.lost_tokens() == ()
    # Nor is one picture given to two parts.
    assert deliver(capture, "c", now_ns) is None
    assert (capture.lost_tokens(), capture.status.stale) == (("c",), 2)


def test_the_picture_of_a_forgotten_trigger_that_was_on_its_way_is_nobody_s():
    capture = make_running("triggered")
    assert all(capture.trigger(token) for token in "ab")
    capture.forget("a")
    assert deliver(capture, "a", time.monotonic_ns()) is None
    captured = deliver(capture, "b", time.monotonic_ns())
    assert captured is not None and captured.token == "b"
    assert (capture.lost_tokens(), capture.status.stale) == ((), 0)


@pytest.mark.parametrize(("waits", "lost"), [(False, ("a",)), (True, ())])
def test_what_a_stream_had_on_its_way_when_the_trigger_came_is_not_the_part_s(
    waits: bool, lost: tuple[str, ...]
):
    """It came after the trigger, and shows the part before. Nothing is on its way from a source
    that waits."""
    capture = make_running("triggered", latency_ms=60_000.0)
    capture._waits = waits
    assert capture.trigger("a")
    assert (deliver(capture, "a", time.monotonic_ns()) is None) == (not waits)
    assert capture.lost_tokens() == lost


def test_a_stream_s_part_gets_the_first_picture_that_its_latency_allows():
    with make_capture("synthetic://?rate=50", "triggered", latency_ms=100.0) as capture:
        capture.start()
        asked_ns = time.monotonic_ns()
        assert capture.trigger("a") and capture.trigger("b")
        answers = [take_frame(capture) for _ in "ab"]
        assert [answer.token for answer in answers] == ["a", "b"]
        assert all(each.frame.captured_ns > asked_ns + 100_000_000 for each in answers)
        assert capture.status.stale == 0


def test_triggers_that_were_lost_with_their_camera_take_no_room_when_it_is_back():
    """They were told as lost again with the next failure, and let the line overrun until then."""
    capture = make_running("triggered", pending_limit=2)
    assert [capture.trigger(token) for token in "abc"] == [True, True, False]
    capture._close()  # as when it fails
    assert capture.lost_tokens() == ("a", "b")
    capture._stream = Hand()
    assert [capture.trigger(token) for token in "de"] == [True, True]
    capture._close()
    assert capture.lost_tokens() == ("d", "e")


def test_a_camera_that_comes_back_set_otherwise_is_a_fault():
    """Its pictures are others than those that the threshold was taken on."""
    capture = make_running("triggered")
    capture._begin(Opened({"exposure": 157}, 0.02, waits=False))
    capture._epoch += 1
    capture._begin(Opened({"exposure": 157}, 0.02, waits=False))
    assert capture.status.state is CaptureState.RUNNING
    capture._begin(Opened({"exposure": 200}, 0.02, waits=False))
    assert capture.status.state is CaptureState.FAULT
    assert capture.status.reason == "the camera came back with other settings"
    assert capture.settings == {"exposure": 157}


def test_each_part_that_was_missed_is_told_once_and_also_by_the_next_process():
    """A process counts those that it had no room for, from its beginning."""
    capture = make_running("camera_triggered")

    def missed(skipped: int) -> int:
        assert deliver(capture, None, time.monotonic_ns(), skipped) is not None
        return capture.missed_parts()

    assert [missed(skipped) for skipped in (0, 2, 2, 3)] == [0, 2, 0, 1]
    # Of those after which no frame comes it tells by themselves.
    assert capture._handle(capture._stream, Missed(5)) is None
    assert capture.missed_parts() == 2
    assert missed(5) == 0
    capture._close()
    capture._stream = Hand()
    assert [missed(skipped) for skipped in (0, 1)] == [0, 1]
    assert capture.status.skipped == 6


def test_the_server_that_forks_loads_no_library_from_the_folder_it_is_started_in():
    """OpenCV's import had left that open, to all that the station starts."""
    with make_capture("synthetic://?rate=50") as capture:
        capture.start()
        server = Path(f"/proc/{forkserver._forkserver._forkserver_pid}")
        environment = dict(
            line.split("=", 1) for line in (server / "environ").read_text().split("\0") if line
        )
    assert "" not in environment["LD_LIBRARY_PATH"].split(":")
