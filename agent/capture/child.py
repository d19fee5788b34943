"""The capture process: reads the camera, keeps what the line may want, hands it over.

Two threads: one reads the camera and may hang in its driver; the main one listens to the line, so
that the process ends with the line whatever the driver does.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection

import cv2

from agent.camera import Camera, CameraFault, EndOfStream, Frame, decoder, is_same, open_camera
from agent.capture.contract import (
    Cancel,
    Ended,
    Failed,
    FromChild,
    Missed,
    Mode,
    Opened,
    Ready,
    Release,
    ToChild,
    Trigger,
    Want,
)
from agent.capture.ring import Ring
from agent.errors import InputError

# How often a capture that has nothing to read shows that it lives.
IDLE_BEAT_S = 0.05


def run(uri: str, mode: Mode, connection: Connection, ring: Ring) -> None:
    """Be the capture process until the pipe to the line ends."""
    # Ctrl-C, and the end of a terminal, reach all its processes; the line decides when its camera
    # stops.
    for each in (signal.SIGINT, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    decoder.listen()
    # The cores are the engine's.
    cv2.setNumThreads(1)
    recorder = Recorder(uri, mode, connection, ring)
    threading.Thread(target=recorder.record, daemon=True).start()
    # Camera-triggered, no frame means no part: only this thread can show that nothing hangs.
    beat_s = IDLE_BEAT_S if mode == "camera_triggered" else None
    try:
        while True:
            if beat_s is not None:
                ring.beat(time.monotonic_ns())
            if connection.poll(beat_s):
                recorder.hear(connection.recv())
    except (EOFError, ConnectionError):
        # Not sys.exit: a thread that hangs in a driver would be waited for.
        os._exit(0)


class Recorder:
    """Reads frames and keeps, in free run the newest, triggered those that were asked for."""

    def __init__(self, uri: str, mode: Mode, connection: Connection, ring: Ring) -> None:
        self._uri = uri
        self._mode = mode
        self._connection = connection
        self._ring = ring
        # Guards all below, and sending.
        self._change = threading.Condition()
        self._free = list(range(len(ring)))
        self._kept: deque[Ready] = deque()
        self._triggers: deque[Trigger] = deque()
        self._wanted = False
        # What passes before the line has started is not missed by it.
        self._line_started = False
        self._skipped = 0
        self._told = 0

    def hear(self, message: ToChild) -> None:
        """Take in what the line says."""
        with self._change:
            if isinstance(message, Want):
                self._wanted = self._line_started = True
            elif isinstance(message, Release):
                self._free.append(message.slot)
                self._tell_missed()
            elif isinstance(message, Cancel):
                self._forget(message.token)
            else:
                self._triggers.append(message)
            self._hand_over()
            self._change.notify()

    def _forget(self, token: str) -> None:
        self._triggers = deque(each for each in self._triggers if each.token != token)
        # Its place in the ring is that of another trigger, which may come at once.
        self._free += [each.slot for each in self._kept if each.token == token]
        self._kept = deque(each for each in self._kept if each.token != token)

    def record(self) -> None:
        """Read the camera until it ends or fails, and say which, or until the line has gone."""
        with suppress(ConnectionError):
            self._record()

    def _record(self) -> None:
        opened = False
        try:
            camera = open_camera(self._uri, every_frame=self._mode == "camera_triggered")
            first = None if self._mode == "camera_triggered" else camera.read()
            self._send(Opened(camera.settings(), camera.period_s, camera.waits))
            opened = True
            if first is None:
                self._keep_all(camera)
            else:
                self._read_on(camera, first)
        except EndOfStream:
            self._finish() if opened else self._send(Failed("the camera gives no frame", True))
        except (InputError, CameraFault) as error:
            self._send(Failed(str(error), isinstance(error, InputError)))
        except ConnectionError:
            raise
        except Exception as error:  # Whatever else a driver raises: to the line it is a fault.
            self._send(Failed(f"{type(error).__name__}: {error}", False))

    def _keep_all(self, camera: Camera) -> None:
        due = 0
        while True:
            frame = camera.read()
            with self._change:
                self._skipped += frame.frame_id - due
            due = frame.frame_id + 1
            self._keep(frame)

    def _read_on(self, camera: Camera, first: Frame) -> None:
        if camera.waits:
            # It was read to see that the camera works; it counts as captured when asked for.
            self._await_demand()
            now_ns = time.monotonic_ns()
            self._keep(replace(first, captured_ns=now_ns), now_ns)
        elif self._mode == "free_run":
            self._keep(first)
        before = first.image
        while True:
            if camera.waits:
                self._await_demand()
            began_ns = time.monotonic_ns()
            frame = camera.read()
            self._ring.beat(time.monotonic_ns())
            if not camera.waits and self._is_triggered(began_ns):
                # One that the camera gives again may be from before the trigger.
                frame = replace(frame, repeats=is_same(frame.image, before))
            self._keep(frame, began_ns)
            before = frame.image

    def _await_demand(self) -> None:
        """Wait until the line wants a frame, or a part is in place."""
        triggered = self._mode == "triggered"
        self._wait_until(lambda: bool(self._triggers) if triggered else self._wanted)

    def _wait_until(self, reached: Callable[[], bool]) -> None:
        """Wait for what the line says, and show meanwhile that nothing hangs here."""
        with self._change:
            while not reached():
                self._ring.beat(time.monotonic_ns())
                self._change.wait(IDLE_BEAT_S)
            self._ring.beat(time.monotonic_ns())

    def _is_triggered(self, began_ns: int) -> bool:
        """Whether a part was in place when a picture began; an earlier one may show another."""
        with self._change:
            return bool(self._triggers) and self._triggers[0].after_ns <= began_ns

    def _keep(self, frame: Frame, began_ns: int = 0) -> None:
        height, width, channels = frame.image.shape
        with self._change:
            token = None
            if self._mode == "triggered":
                if not self._is_triggered(began_ns):
                    return
                token = self._triggers.popleft().token
            if self._mode == "free_run" and self._kept:
                self._free.append(self._kept.popleft().slot)
                self._skipped += self._line_started
            if not self._free:
                # Camera-triggered, and the line has taken nothing for as many parts as may wait.
                self._skipped += 1
                return
            self._told = self._skipped
            slot = self._free.pop()
            self._ring.write(slot, frame.image)
            self._kept.append(
                Ready(
                    slot,
                    (height, width, channels),
                    frame.image.dtype,
                    frame.frame_id,
                    frame.name,
                    frame.captured_ns,
                    token,
                    self._skipped,
                    frame.repeats,
                )
            )
            self._hand_over()

    def _tell_missed(self) -> None:
        # No next frame may come that tells of them.
        if self._mode == "camera_triggered" and self._skipped > self._told:
            self._told = self._skipped
            self._connection.send(Missed(self._skipped))

    def _hand_over(self) -> None:
        if self._kept and (self._wanted or self._mode == "camera_triggered"):
            self._wanted = False
            self._connection.send(self._kept.popleft())

    def _finish(self) -> None:
        self._wait_until(lambda: not self._kept)
        self._send(Ended())

    def _send(self, message: FromChild) -> None:
        with self._change:
            self._ring.beat(time.monotonic_ns())
            self._tell_missed()
            self._connection.send(message)
