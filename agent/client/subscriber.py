"""A subscriber that receives every verdict once, in order, and knows what it has missed."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Generator, Iterator
from pathlib import Path
from types import TracebackType

import zmq

from agent.client.acknowledge import Acknowledger
from agent.client.connection import client_context, connect
from agent.client.events import MESSAGES, Behind, Event, Gap, Silence
from agent.client.position import Position, read_position, write_position
from agent.client.replay import EXAMPLE_BYTES, PAGE, UNREAD, ReplayClient, ReplayUnavailable
from agent.journal.reader import EpochRange
from agent.keys.files import ClientKey, read_secret_file
from agent.messaging.endpoint import check_endpoint
from agent.messaging.sockets import HIGH_WATER_MARK
from agent.messaging.status import Heartbeat
from agent.messaging.topics import ROOT, kind_of
from agent.trouble import Trouble
from agent.verdict import Verdict

log = logging.getLogger(__name__)

# Four heartbeats and more: one may be late when the machine is busy, not all of them.
SILENT_S = 1.0
REPLAY_TIMEOUT_S = 2.0
# A verdict is published before it is durable: what was missed a moment ago may not be stored yet.
ASK_AGAIN_S = 0.1
LOOK_S = 0.1
# While nothing is heard. Longer than any handshake takes.
CONNECT_AGAIN_S = 3.0

# Events as they become known; None while the station has yet to answer.
Steps = Generator[Event | None, None, None]


class Subscriber:
    """Follows one station.

    Subscribe first, then replay, then drop what was already seen: a verdict published meanwhile
    arrives twice rather than never, and is delivered once. Every later jump in the sequence, also
    one that only a heartbeat reveals, is filled from the replay endpoint before anything that
    follows is delivered; a Gap is what the station itself has no more. Of an epoch before the
    position nothing is delivered, which is logged, and told once as Behind.

    Attributes:
        position: the last verdict delivered.
        missed: verdicts that were never had.
        malformed: messages that could not be read; the log tells of them.
    """

    def __init__(
        self,
        verdicts: str,
        replay: str | None = None,
        *,
        position: Position | None = None,
        memory: Path | None = None,
        client: str | None = None,
        key: Path | None = None,
        patience_s: float | None = None,
    ) -> None:
        """Prepare to follow; entering the context connects.

        Args:
            verdicts: the station's endpoint for verdicts.
            replay: its endpoint for replay; without it gaps are seen and not filled.
            position: go on after this verdict; `Position(0, 0)` asks for all that is stored. None
                for what `memory` or, failing that, `client` remembers; without these, for what
                comes from now on.
            memory: a file that remembers the position. It is written when the next event is asked
                for, so a verdict counts as dealt with when the caller has returned for more.
            client: name to acknowledge under, so that the station knows what it may forget, and
                remembers the position for a client that has no `memory`.
            key: file of this client's key, for a station with keys.
            patience_s: how long a gap may stay open while the replay endpoint does not answer;
                None for as long as it takes.

        Raises:
            InputError: an endpoint, the key or the memory is not what it should be.
        """
        self._verdicts = check_endpoint(verdicts)
        self._replay = check_endpoint(replay) if replay is not None else None
        self._key = read_secret_file(key, ClientKey) if key is not None else None
        self._memory = memory
        self._client = client
        self._patience_s = patience_s
        if position is None and memory is not None:
            position = read_position(memory)
        self.position = self._kept = position
        self.missed = 0
        self._malformed = Trouble(UNREAD)
        self._unfilled = Trouble("cannot fill a gap")
        self._unasked = Trouble("cannot ask for the position")
        self._heard: deque[list[bytes]] = deque()
        self._heard_at_s = time.monotonic()
        self._silent = False
        self._steps: Steps | None = None
        # Of what comes late from one of these nothing is wrong.
        self._epochs: set[int] = set()

    def __enter__(self) -> Subscriber:
        self._context = client_context()
        self._connect()
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

    def verdicts(self) -> Iterator[Verdict]:
        """Every verdict once, in order, for as long as the caller asks.

        What is lost for good is logged and counted in `missed`.
        """
        for event in self:
            if isinstance(event, Verdict):
                yield event
            elif isinstance(event, Gap):
                log.error("%d verdicts are lost: %s", event.count, event)

    @property
    def malformed(self) -> int:
        return self._malformed.count

    @property
    def silence_s(self) -> float:
        """Seconds since anything was heard; a live station says something five times a second."""
        return time.monotonic() - self._heard_at_s

    def receive(self, timeout_s: float) -> Event | None:
        """The next event, or None when there is none in time.

        May take REPLAY_TIMEOUT_S longer while a replay endpoint does not answer.

        Raises:
            InputError: the memory cannot be written.
        """
        self._keep()
        until_s = time.monotonic() + timeout_s
        while True:
            self._hear()
            event = self._supervise() or self._step()
            left_s = until_s - time.monotonic()
            if event is not None or left_s <= 0:
                return event
            if self._steps is not None or not self._heard:
                self._socket.poll(int(min(left_s, LOOK_S) * 1000))

    def _connect(self) -> None:
        self._connected_at_s = time.monotonic()
        self._socket = connect(self._context, zmq.SUB, self._verdicts, self._key)
        self._socket.set(zmq.SUBSCRIBE, ROOT)
        self._acknowledger: Acknowledger | None = None
        if self._client is not None and self._replay is not None:
            self._acknowledger = Acknowledger(self._context, self._replay, self._client, self._key)

    def _connect_anew(self) -> None:
        """ZeroMQ itself does not try again where a key was once refused."""
        self._socket.close(linger=0)
        if self._acknowledger is not None:
            self._acknowledger.close()
        self._connect()

    def _keep(self) -> None:
        """The caller is done with what it was given."""
        if self.position is None:
            return
        if self._memory is not None and self.position != self._kept:
            write_position(self._memory, self.position)
            self._kept = self.position
        if self._acknowledger is not None:
            self._acknowledger.done(self.position)

    def _hear(self) -> None:
        """Read what has come; during a long replay too, so that silence is noticed.

        Of what comes while too much waits nothing is kept: the verdicts can be replayed.
        """
        for _ in range(HIGH_WATER_MARK):
            if not self._socket.poll(0):
                return
            frames = self._socket.recv_multipart()
            self._heard_at_s = time.monotonic()
            if len(self._heard) < HIGH_WATER_MARK:
                self._heard.append(frames)

    def _supervise(self) -> Silence | None:
        silent = self.silence_s > SILENT_S
        if silent and time.monotonic() - self._connected_at_s > CONNECT_AGAIN_S:
            self._connect_anew()
        if silent == self._silent:
            return None
        self._silent = silent
        return Silence(over=not silent)

    def _step(self) -> Event | None:
        """The next event of what was heard; None when there is none yet."""
        while True:
            if self._steps is None:
                if not self._heard:
                    return None
                self._steps = self._read(self._heard.popleft())
            try:
                return next(self._steps)
            except StopIteration:
                self._steps = None

    def _read(self, frames: list[bytes]) -> Steps:
        """The events that a message brings: itself, and before it what was missing."""
        kind = kind_of(frames[0])
        if kind == "welcome":
            return
        if len(frames) != 2 or kind not in MESSAGES:
            self._malformed.came(frames[0][:EXAMPLE_BYTES])
            return
        try:
            message = MESSAGES[kind].model_validate_json(frames[1])
        except ValueError:
            self._malformed.came(frames[1][:EXAMPLE_BYTES])
            return
        if isinstance(message, Verdict | Heartbeat):
            yield from self._note_epoch(message.epoch)
        if isinstance(message, Verdict):
            yield from self._reach(Position(message.epoch, message.seq - 1), None)
            yield from self._pass_on(message)
            return
        if isinstance(message, Heartbeat):
            last = Position(message.epoch, message.last_seq)
            yield from self._reach(last, message.first_seq)
        yield message

    def _note_epoch(self, epoch: int) -> Steps:
        """Tell, once, of an epoch that came up behind the position."""
        if epoch in self._epochs:
            return
        self._epochs.add(epoch)
        if self.position is None or epoch >= self.position.epoch:
            return
        log.error(
            "the station is at epoch %d, behind the remembered %d: its clock and its journal were "
            "lost, and nothing of it is delivered; set its clock and restart it, or begin anew "
            "(delete the memory, or give another position)",
            epoch,
            self.position.epoch,
        )
        yield Behind(epoch, self.position)

    def _pass_on(self, verdict: Verdict) -> Steps:
        """A verdict that was not seen before, after the gap to the one before it."""
        position = Position(verdict.epoch, verdict.seq)
        if self.position is not None:
            if position <= self.position:
                return
            if position.epoch == self.position.epoch:
                yield from self._give_up(Position(verdict.epoch, verdict.seq - 1))
        self.position = position
        yield verdict

    def _reach(self, target: Position, epoch_begins: int | None) -> Steps:
        """All that lies between the position and a verdict known to have been published."""
        while self.position is None and self._client is not None and self._replay is not None:
            yield from self._recall(self._replay, self._client)
        if self.position is None:
            self.position = target
        if self.position < target and self._replay is not None:
            yield from self._fill(self._replay, target)
        if self.position < target:
            if epoch_begins is not None and self.position.epoch < target.epoch:
                self.position = Position(target.epoch, epoch_begins - 1)
            yield from self._give_up(target)

    def _recall(self, endpoint: str, name: str) -> Steps:
        """Take up the position that the station remembers for this client."""
        client = self._ask(endpoint)
        try:
            self.position = client.snapshot(name).acknowledged or Position(0, 0)
        except ReplayUnavailable as error:
            self._unasked.came(error)
            yield from self._pause()
        finally:
            client.close()

    def _fill(self, endpoint: str, target: Position) -> Steps:
        """All that the station has up to `target`; ends when it has no more of it."""
        since_s = time.monotonic()
        while self.position is not None and self.position < target:
            client = self._ask(endpoint)
            try:
                snapshot = client.snapshot(since=self.position.epoch)
                for stored in snapshot.missing(self.position):
                    if self.position.epoch < stored.epoch:
                        first = stored.first_seq
                        if self.position.epoch > 0 and stored.epoch == snapshot.epoch:
                            # Where it began is known: what was forgotten of it leaves a gap.
                            first = snapshot.first_seq
                        self.position = Position(stored.epoch, first - 1)
                    yield from self._take(client, stored)
                if snapshot.settles(target):
                    if self.position.epoch < target.epoch == snapshot.epoch:
                        self.position = Position(snapshot.epoch, snapshot.first_seq - 1)
                    return
                if snapshot.more:
                    continue
            except ReplayUnavailable as error:
                self._unfilled.came(error)
            finally:
                client.close()
            if self._patience_s is not None and time.monotonic() - since_s > self._patience_s:
                return
            yield from self._pause()

    def _take(self, client: ReplayClient, stored: EpochRange) -> Steps:
        """What is stored; what does not come of it cannot be read, or was forgotten meanwhile."""
        for first in range(stored.first_seq, stored.last_seq + 1, PAGE):
            last = min(first + PAGE - 1, stored.last_seq)
            for verdict in client.replay(stored.epoch, first, last):
                yield from self._pass_on(verdict)
            yield from self._give_up(Position(stored.epoch, last))

    def _ask(self, endpoint: str) -> ReplayClient:
        return ReplayClient(self._context, endpoint, REPLAY_TIMEOUT_S, self._key, self._malformed)

    def _pause(self) -> Steps:
        until_s = time.monotonic() + ASK_AGAIN_S
        while time.monotonic() < until_s:
            yield None

    def _give_up(self, target: Position) -> Steps:
        """Move to a target that could not be reached; within an epoch, that leaves a gap."""
        position, self.position = self.position, max(target, self.position or target)
        if position is not None and position.epoch == target.epoch and position < target:
            gap = Gap(target.epoch, position.seq + 1, target.seq)
            self.missed += gap.count
            yield gap
