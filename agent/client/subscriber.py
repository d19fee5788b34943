"""A subscriber that receives every verdict once, in order, and knows what it has missed."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType

import zmq

from agent.client.replay import Position, ReplayClient, ReplayUnavailable
from agent.messaging.endpoint import check_endpoint
from agent.messaging.sockets import open_socket
from agent.messaging.status import DriftAlarm, Heartbeat, StateChange
from agent.messaging.topics import ROOT, kind_of
from agent.verdict import Verdict

log = logging.getLogger(__name__)

MODELS: dict[str, type[Verdict] | type[Heartbeat] | type[StateChange] | type[DriftAlarm]] = {
    "verdict": Verdict,
    "heartbeat": Heartbeat,
    "state": StateChange,
    "drift": DriftAlarm,
}
# A verdict is published before it is durable: what was missed a moment ago may not be stored yet.
FILL_ATTEMPTS = 5
FILL_WAIT_S = 0.1
REPLAY_TIMEOUT_S = 2.0


@dataclass(frozen=True)
class Gap:
    """Verdicts of an epoch that were published and could not be had, first to last."""

    epoch: int
    first: int
    last: int

    @property
    def count(self) -> int:
        """Number of verdicts missed."""
        return self.last - self.first + 1


Event = Verdict | Heartbeat | StateChange | DriftAlarm | Gap


class Subscriber:
    """Follows one station.

    Subscribe first, then replay, then drop what was already seen: a verdict published meanwhile
    arrives twice rather than never, and is delivered once. Every later jump in the sequence, also
    one that only a heartbeat reveals, is filled from the replay endpoint, or delivered as a Gap.

    Attributes:
        position: the last verdict dealt with; keep it, and give it again after a restart.
        missed: verdicts that were never had.
        malformed: messages that could not be read.
    """

    def __init__(
        self, verdicts: str, replay: str | None = None, *, position: Position | None = None
    ) -> None:
        """Prepare to follow; entering the context connects.

        Args:
            verdicts: the station's endpoint for verdicts.
            replay: its endpoint for replay; without it gaps are seen and not filled.
            position: go on after this verdict; `Position(0, 0)` asks for all that is stored,
                None for what comes from now on.

        Raises:
            InputError: an endpoint does not read tcp://HOST:PORT.
        """
        self._verdicts = check_endpoint(verdicts)
        self._replay = check_endpoint(replay) if replay is not None else None
        self.position = position
        self.missed = 0
        self.malformed = 0
        self._pending: Iterator[Event] = iter(())
        self._heard_at = time.monotonic()

    def __enter__(self) -> Subscriber:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = open_socket(self._context, zmq.SUB)
        self._socket.set(zmq.SUBSCRIBE, ROOT)
        self._socket.connect(self._verdicts)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._context.destroy(linger=0)

    def __iter__(self) -> Iterator[Event]:
        """Events for as long as the caller asks; silence is waited through."""
        while True:
            event = self.receive(1.0)
            if event is not None:
                yield event

    @property
    def silence_s(self) -> float:
        """Seconds since anything was heard; a live station says something four times a second."""
        return time.monotonic() - self._heard_at

    def receive(self, timeout_s: float) -> Event | None:
        """The next event, or None when there is none in time.

        Filling a gap takes as long as the replay endpoint takes to answer.
        """
        deadline = time.monotonic() + timeout_s
        while (event := next(self._pending, None)) is None:
            left_ms = max(0, int((deadline - time.monotonic()) * 1000))
            if not self._socket.poll(left_ms):
                return None
            self._pending = self._read(self._socket.recv_multipart())
        return event

    def _read(self, frames: list[bytes]) -> Iterator[Event]:
        """The events that a message brings: itself, and before it what was missing."""
        self._heard_at = time.monotonic()
        kind = kind_of(frames[0])
        if kind in ("welcome", "late"):
            return
        if len(frames) != 2 or kind not in MODELS:
            self.malformed += 1
            return
        try:
            message = MODELS[kind].model_validate_json(frames[1])
        except ValueError:
            self.malformed += 1
            return
        if isinstance(message, Verdict):
            yield from self._reach(Position(message.epoch, message.seq - 1), None)
            yield from self._pass_on(message)
        else:
            if isinstance(message, Heartbeat):
                last = Position(message.epoch, message.last_seq)
                yield from self._reach(last, message.first_seq)
            yield message

    def _pass_on(self, verdict: Verdict) -> Iterator[Event]:
        """A verdict that was not seen before, after the gap to the one before it."""
        position = Position(verdict.epoch, verdict.seq)
        if self.position is not None:
            if position <= self.position:
                return
            if position.epoch == self.position.epoch:
                yield from self._give_up(Position(verdict.epoch, verdict.seq - 1))
        self.position = position
        yield verdict

    def _reach(self, target: Position, epoch_begins: int | None) -> Iterator[Event]:
        """All that lies between the position and a verdict known to have been published."""
        if self.position is None:
            self.position = target
        if self.position < target and self._replay is not None:
            yield from self._fill(self._replay, target)
        if self.position < target:
            if epoch_begins is not None and self.position.epoch < target.epoch:
                self.position = Position(target.epoch, epoch_begins - 1)
            yield from self._give_up(target)

    def _fill(self, endpoint: str, target: Position) -> Iterator[Event]:
        client = ReplayClient(self._context, endpoint, REPLAY_TIMEOUT_S)
        try:
            attempts = 0
            while self.position is not None and self.position < target and attempts < FILL_ATTEMPTS:
                before = self.position
                snapshot = client.snapshot()
                for stored in snapshot.missing(self.position):
                    for verdict in client.replay(stored.epoch, stored.first_seq, stored.last_seq):
                        yield from self._pass_on(verdict)
                first = Position(snapshot.epoch, snapshot.first_seq - 1)
                if self.position < first == target:
                    self.position = target  # the epoch has just begun
                if self.position == before:
                    attempts += 1
                    time.sleep(FILL_WAIT_S)
        except ReplayUnavailable as error:
            log.warning("cannot fill a gap: %s", error)
        finally:
            client.close()

    def _give_up(self, target: Position) -> Iterator[Event]:
        """Move to a target that could not be reached; within an epoch, that leaves a gap."""
        position, self.position = self.position, max(target, self.position or target)
        if position is not None and position.epoch == target.epoch and position < target:
            gap = Gap(target.epoch, position.seq + 1, target.seq)
            self.missed += gap.count
            yield gap
