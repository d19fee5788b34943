"""The line's side of capture: takes frames, supervises the process, opens the camera again."""

from __future__ import annotations

import time
from types import TracebackType

from agent.camera.base import Frame, Settings
from agent.camera.uri import parse
from agent.capture.contract import (
    Cancel,
    Captured,
    CaptureState,
    CaptureStatus,
    Ended,
    Failed,
    FromChild,
    Missed,
    Mode,
    Opened,
    Ready,
    Trigger,
    Want,
)
from agent.capture.stream import LEAST_STALL_S, LOOK_S, UNREACHABLE, Stream
from agent.errors import InputError

# For a slow machine that loads everything for the first time.
OPEN_LIMIT_S = 30.0
# An opening that takes so much longer than one before hangs: a camera that came back meanwhile
# would wait for its end. Each that fails gives the next twice the time.
LEAST_REOPEN_S = 1.0
REOPEN_TIMES = 3
FIRST_BACK_OFF_S = 0.1
# With the second that opening takes, a camera is back within 3 s of its return.
LONGEST_BACK_OFF_S = 1.0
# Beside the frames that wait: one that the line reads and one that is being written.
SPARE_SLOTS = 2


class Capture:
    """A supervised camera. For one thread; all supervising happens inside `take`.

    In free run `take` gives the newest frame. In triggered mode it gives, for each accepted
    trigger in order, one frame captured after it, unless it was told to forget it;
    camera-triggered, every frame there is, and `missed_parts` tells how many could not be kept.
    After a failure the camera is opened again until it works; a frame of an earlier opening is
    never given, nor one that shows the past, and `lost_tokens` tells the triggers that will stay
    without one.
    """

    def __init__(
        self,
        uri: str,
        mode: Mode,
        *,
        pending_limit: int,
        least_stall_s: float = LEAST_STALL_S,
        latency_ms: float = 0,
    ) -> None:
        """uri: as for `open_camera`; pending_limit: triggers accepted and not yet taken;
        least_stall_s: as for `Stream`, more for whoever has no deadline; latency_ms: how much later
        than it was taken a picture may come.

        Raises:
            InputError: `uri` is no address.
        """
        self._uri = uri
        self._shown = parse(uri).shown
        self._mode = mode
        self._pending_limit = pending_limit
        self._least_stall_s = least_stall_s
        self._latency_ns = int(latency_ms * 1e6)
        self._stream: Stream | None = None
        self._settings: Settings = {}
        self._waits = False
        self._state = CaptureState.STARTING
        self._reason = ""
        self._epoch = 0
        self._wanted = False
        self._pending: dict[str, Trigger] = {}
        self._lost: list[str] = []
        self._missed = 0
        self._frames = 0
        self._stale = 0
        self._newest_ns = 0
        self._skipped_before = 0
        self._skipped = 0
        self._back_off_s = FIRST_BACK_OFF_S
        self._open_again_s = 0.0
        self._open_limit_s = OPEN_LIMIT_S

    def __enter__(self) -> Capture:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def status(self) -> CaptureStatus:
        skipped = self._skipped_before + self._skipped
        return CaptureStatus(
            self._state, self._reason, self._frames, skipped, self._stale, self._epoch
        )

    @property
    def settings(self) -> Settings:
        """The camera's settings; they are the same after every restart."""
        return dict(self._settings)

    @property
    def waits(self) -> bool:
        """Whether the source holds its next frame until it is asked for, once it is open."""
        return self._waits

    @property
    def pid(self) -> int | None:
        """The capture process, None while there is none."""
        return self._stream.pid if self._stream else None

    @property
    def last_beat_ns(self) -> int:
        """When the capture process last showed life (monotonic); 0 while there is none."""
        return self._stream.last_beat_ns if self._stream else 0

    @property
    def descriptor(self) -> int | None:
        """Readable when `take` has something to do; None while there is no process."""
        return self._stream.descriptor if self._stream else None

    def start(self) -> None:
        """Open the camera and wait for its first frame, or camera-triggered for its readiness.

        Raises:
            InputError: it does not open.
        """
        try:
            self._open()
        except (OSError, EOFError) as error:
            raise InputError(f"the capture process cannot be started: {error}") from error
        while self._state is CaptureState.STARTING:
            self._step(LOOK_S, want=False)
        if self._state is CaptureState.FAULT:
            self.stop()
            named = self._shown in self._reason
            raise InputError(self._reason if named else f"camera {self._shown}: {self._reason}")

    def trigger(self, token: str) -> bool:
        """Ask for a frame of the part that is in place now.

        Returns:
            Whether a frame will come or `lost_tokens` will name it. False: the camera is not
            running (see `status`), or too many triggers wait.
        """
        if self._stream is None or self._state is not CaptureState.RUNNING:
            return False
        if len(self._pending) >= self._pending_limit:
            return False
        # A source that waits has nothing on its way.
        latency_ns = 0 if self._waits else self._latency_ns
        trigger = Trigger(token, time.monotonic_ns() + latency_ns)
        self._pending[token] = trigger
        self._stream.send(trigger)
        return True

    def forget(self, token: str) -> None:
        """No frame is needed for this trigger any more: the next one is that of a later part."""
        if self._stream is not None and self._pending.pop(token, None) is not None:
            self._stream.send(Cancel(token))

    def take(self, timeout_s: float, *, want: bool = True) -> Captured | None:
        """Wait for a frame, and supervise the process meanwhile.

        Args:
            timeout_s: 0 to take what is there.
            want: ask for a frame; without it one comes only if it was asked for before.

        Returns:
            None when none came in time, and at once when the state has changed or is ENDED.

        Raises:
            InputError: what the camera was given to show cannot be read, or this process can start
                no capture process any more.
        """
        deadline_s = time.monotonic() + timeout_s
        state = self._state
        while self._state is state and state is not CaptureState.ENDED:
            left_s = deadline_s - time.monotonic()
            captured = self._step(min(max(left_s, 0), LOOK_S), want)
            if captured is not None or left_s <= 0:
                return captured
        return None

    def lost_tokens(self) -> tuple[str, ...]:
        """Of accepted triggers whose frame will not come; each is named once."""
        lost = tuple(self._lost)
        self._lost.clear()
        return lost

    def missed_parts(self) -> int:
        """Camera-triggered frames that came and could not be kept; each is told once."""
        missed, self._missed = self._missed, 0
        return missed

    def stop(self) -> None:
        """End the capture process, so that nothing of it stays, and with it the capture."""
        self._state = CaptureState.ENDED
        self._close()

    def _step(self, timeout_s: float, want: bool) -> Captured | None:
        if self._stream is None:
            wait_s = self._open_again_s - time.monotonic()
            if wait_s > timeout_s:
                time.sleep(timeout_s)
                return None
            time.sleep(max(wait_s, 0))
            self._epoch += 1
            try:
                self._open()
            except UNREACHABLE as error:
                self.stop()
                raise InputError(
                    f"no capture process can be started any more ({error}): the socket for that, "
                    "in the folder for temporary files, is gone; start anew"
                ) from error
            except (OSError, EOFError) as error:
                # No memory or no process left: as bad as no camera, and over as soon.
                self._fail(Failed(f"the capture process cannot be started: {error}", False))
            return None
        if want and self._stream.opened is not None and not self._wanted:
            self._stream.send(Want())
            self._wanted = True
        message = self._stream.receive(timeout_s)
        return None if message is None else self._handle(self._stream, message)

    def _handle(self, stream: Stream, message: FromChild) -> Captured | None:
        if isinstance(message, Ready):
            return self._captured(stream, message)
        if isinstance(message, Missed):
            self._count_skipped(message.skipped)
        elif isinstance(message, Opened):
            self._open_limit_s = max(LEAST_REOPEN_S, REOPEN_TIMES * stream.age_s)
            self._begin(message)
        elif isinstance(message, Ended):
            self.stop()
        elif message.wrong_input and stream.opened is not None:
            self.stop()
            raise InputError(message.reason)
        else:
            self._fail(message)
        return None

    def _begin(self, opened: Opened) -> None:
        if self._epoch > 0 and opened.settings != self._settings:
            self._fail(Failed("the camera came back with other settings", False))
            return
        self._settings, self._waits = opened.settings, opened.waits
        self._state, self._reason = CaptureState.RUNNING, ""

    def _captured(self, stream: Stream, ready: Ready) -> Captured | None:
        self._wanted = False
        self._count_skipped(ready.skipped)
        try:
            image = stream.take_image(ready)
        except (OSError, MemoryError) as error:
            # No memory left: as bad as no camera, and over as soon.
            self._missed += self._mode == "camera_triggered"
            why = str(error) or type(error).__name__
            self._fail(Failed(f"a frame cannot be taken over: {why}", False))
            return None
        trigger = self._pending.pop(ready.token, None) if ready.token is not None else None
        if trigger is None and self._mode == "triggered":
            # It was on its way when its trigger was forgotten.
            return None
        if self._is_stale(stream, ready, trigger):
            self._stale += 1
            if trigger is not None:
                self._lost.append(trigger.token)
            return None
        self._frames += 1
        self._newest_ns = ready.captured_ns
        frame = Frame(image, ready.frame_id, ready.name, ready.captured_ns, ready.repeats)
        return Captured(frame, ready.token)

    def _count_skipped(self, skipped: int) -> None:
        if self._mode == "camera_triggered":
            self._missed += skipped - self._skipped
        self._skipped = skipped

    def _is_stale(self, stream: Stream, ready: Ready, trigger: Trigger | None) -> bool:
        """Whether a frame shows what was there before: an earlier frame, trigger or moment."""
        if ready.captured_ns <= self._newest_ns:
            return True
        if trigger is not None:
            return ready.captured_ns < trigger.after_ns
        # A recording is as good as ever; of the world, a line that was held up wants the present.
        if self._mode == "camera_triggered" or self._waits:
            return False
        return time.monotonic_ns() - ready.captured_ns > stream.stall_s * 1e9

    def _open(self) -> None:
        slots = SPARE_SLOTS + (1 if self._mode == "free_run" else self._pending_limit)
        self._stream = Stream(self._uri, self._mode, slots, self._open_limit_s, self._least_stall_s)

    def _fail(self, failure: Failed) -> None:
        self._state, self._reason = CaptureState.FAULT, failure.reason
        stream = self._stream
        if stream is not None and stream.opened and stream.age_s > LONGEST_BACK_OFF_S:
            self._back_off_s = FIRST_BACK_OFF_S
        if stream is not None and not stream.opened:
            self._open_limit_s = min(2 * self._open_limit_s, OPEN_LIMIT_S)
        self._close()
        self._open_again_s = time.monotonic() + self._back_off_s
        self._back_off_s = min(2 * self._back_off_s, LONGEST_BACK_OFF_S)

    def _close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        self._skipped_before += self._skipped
        self._skipped = 0
        self._wanted = False
        self._lost += self._pending
        self._pending.clear()
