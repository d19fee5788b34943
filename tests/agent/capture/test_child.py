"""The capture process when its line goes: it ends, and says nothing about it."""

from __future__ import annotations

import itertools
import multiprocessing
import time
from types import SimpleNamespace

import numpy as np
import pytest

from agent.camera import EndOfStream, Frame
from agent.capture import child
from agent.capture.contract import Cancel, Ended, Missed, Ready, Release, Trigger, Want
from agent.capture.ring import Ring


@pytest.mark.parametrize("query", ["rate=0", "colour=red"])
@pytest.mark.parametrize("mode", ["free_run", "camera_triggered"])
def test_a_camera_that_has_something_to_say_to_a_line_that_has_gone_ends(
    query: str, mode: child.Mode
) -> None:
    here, there = multiprocessing.Pipe()
    here.close()
    ring = Ring(3)
    child.Recorder(f"synthetic://?{query}", mode, there, ring).record()
    ring.close()
    there.close()


@pytest.mark.parametrize("gone", [BrokenPipeError, ConnectionResetError])
def test_a_process_whose_line_goes_while_it_answers_ends(
    gone: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Recorder:
        def __init__(self, *_: object) -> None:
            pass

        def record(self) -> None:
            pass

        def hear(self, message: object) -> None:
            assert message == Want()
            raise gone

    ends: list[int] = []
    monkeypatch.setattr(child, "Recorder", Recorder)
    monkeypatch.setattr(child, "os", SimpleNamespace(_exit=ends.append))
    # This process goes on with its own.
    deaf = SimpleNamespace(signal=lambda *_: None, SIGINT=None, SIGHUP=None, SIG_IGN=None)
    monkeypatch.setattr(child, "signal", deaf)
    monkeypatch.setattr(child.decoder, "listen", lambda: None)
    monkeypatch.setattr(child, "cv2", SimpleNamespace(setNumThreads=lambda _: None))
    here, there = multiprocessing.Pipe()
    here.send(Want())
    ring = Ring(1)
    child.run("synthetic://", "free_run", there, ring)
    assert ends == [0]
    ring.close()
    here.close()
    there.close()


def test_a_picture_that_was_on_its_way_when_the_trigger_came_is_not_the_part_s() -> None:
    """It may show the part before; the line would drop it, and the part would have none."""
    sent: list[Ready] = []
    ring = Ring(2)
    connection = SimpleNamespace(send=sent.append)
    recorder = child.Recorder("v4l2:///dev/video0", "triggered", connection, ring)
    numbers = itertools.count(1)

    def read() -> Frame:
        number = next(numbers)
        if number == 2:
            recorder.hear(Trigger("a", time.monotonic_ns()))
        if number == 4:
            raise EndOfStream
        image = np.zeros((2, 2, 3), np.uint8)
        return Frame(image, number, str(number), time.monotonic_ns())

    recorder.hear(Want())
    with pytest.raises(EndOfStream):
        recorder._read_on(SimpleNamespace(waits=False, read=read), read())
    assert [(ready.frame_id, ready.token) for ready in sent] == [(3, "a")]
    ring.close()


def test_parts_whose_pictures_the_camera_could_not_give_are_missed() -> None:
    """A driver had thrown one away: every verdict from then on was counted for the part before."""
    sent: list[Ready] = []
    ring = Ring(4)
    recorder = child.Recorder(
        "v4l2:///dev/video0", "camera_triggered", SimpleNamespace(send=sent.append), ring
    )
    numbers = iter([1, 2, 5])

    def read() -> Frame:
        number = next(numbers, None)
        if number is None:
            raise EndOfStream
        return Frame(np.zeros((2, 2, 3), np.uint8), number, str(number), time.monotonic_ns())

    with pytest.raises(EndOfStream):
        recorder._keep_all(SimpleNamespace(read=read))
    assert [(ready.frame_id, ready.skipped) for ready in sent] == [(1, 1), (2, 1), (5, 3)]
    ring.close()


@pytest.mark.parametrize("then", ["room", "end"])
def test_parts_that_found_no_room_are_told_when_none_comes_after_them(then: str) -> None:
    """The belt had stopped: they had no verdict, and the next part after the break their number."""
    sent: list[object] = []
    ring = Ring(2)
    recorder = child.Recorder(
        "v4l2:///dev/video0", "camera_triggered", SimpleNamespace(send=sent.append), ring
    )
    for number in range(4):
        recorder._keep(Frame(np.zeros((2, 2, 3), np.uint8), number, str(number), 0))
    for each in sent[:2] if then == "room" else []:
        recorder.hear(Release(each.slot))
    if then == "end":
        recorder._finish()
    assert sent[2:] == [Missed(2), *([Ended()] if then == "end" else [])]
    recorder._free = [0]
    recorder._keep(Frame(np.zeros((2, 2, 3), np.uint8), 4, "4", 0))
    assert sent[-1].skipped == 2
    ring.close()


def test_a_part_that_needs_no_picture_any_more_takes_none_and_no_room() -> None:
    """Each took one, and all that came after it had that of a later part."""
    sent: list[Ready] = []
    ring = Ring(1)
    recorder = child.Recorder(
        "v4l2:///dev/video0", "triggered", SimpleNamespace(send=sent.append), ring
    )
    heard = iter(
        [
            [Trigger("kept", 0), Trigger("waiting", 0)],
            [Cancel("kept"), Cancel("waiting")],
            [Trigger("next", 0)],
        ]
    )
    numbers = itertools.count()

    def read() -> Frame:
        messages = next(heard, None)
        if messages is None:
            raise EndOfStream
        for message in messages:
            recorder.hear(message)
        number = next(numbers)
        image = np.full((2, 2, 3), number, np.uint8)
        return Frame(image, number, str(number), time.monotonic_ns())

    first = Frame(np.full((2, 2, 3), 9, np.uint8), 9, "9", 0)
    with pytest.raises(EndOfStream):
        recorder._read_on(SimpleNamespace(waits=False, read=read), first)
    recorder.hear(Want())
    assert [(ready.frame_id, ready.token) for ready in sent] == [(2, "next")]
    ring.close()


def test_a_picture_that_the_camera_gives_again_says_so() -> None:
    """Of a camera that had frozen, the part got the last picture from before its trigger."""
    sent: list[Ready] = []
    ring = Ring(4)
    recorder = child.Recorder(
        "v4l2:///dev/video0", "triggered", SimpleNamespace(send=sent.append), ring
    )
    levels = iter([1, 2, 2, 3])
    numbers = itertools.count()

    def read() -> Frame:
        level = next(levels, None)
        if level is None:
            raise EndOfStream
        number = next(numbers)
        image = np.full((32, 32, 3), level, np.uint8)
        recorder.hear(Want())
        recorder.hear(Trigger(str(number), 0))
        return Frame(image, number, str(number), time.monotonic_ns())

    with pytest.raises(EndOfStream):
        recorder._read_on(SimpleNamespace(waits=False, read=read), read())
    assert [(ready.frame_id, ready.repeats) for ready in sent] == [
        (1, False),
        (2, True),
        (3, False),
    ]
    ring.close()
