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
from agent.capture.contract import Ready, Trigger, Want
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
