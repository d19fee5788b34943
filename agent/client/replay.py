"""Asking a station for what was missed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import zmq
from pydantic import BaseModel, ConfigDict, ValidationError

from agent.client.connection import connect
from agent.client.position import Position
from agent.journal.reader import EpochRange
from agent.keys import ClientKey
from agent.states import State
from agent.trouble import Trouble
from agent.verdict import Verdict

# Of verdicts, asked for at once. So many fit into the socket's queue: a client that stops to think
# never holds up the station, and libzmq aborts (4.3.5, `_input_stopped`) where a queue that was
# full is read on.
PAGE = 500
UNREAD = "a message cannot be read (is the station newer than this client?)"
# Of a message, for the log.
EXAMPLE_BYTES = 200


class ReplayUnavailable(Exception):
    """The station did not answer, or refused; what is missing can be asked for again later."""


class StationSnapshot(BaseModel):
    """What a station answers to `snapshot`."""

    model_config = ConfigDict(frozen=True)

    epoch: int
    first_seq: int
    durable_seq: int
    state: State
    epochs: list[EpochRange]
    more: bool = False
    acknowledged: Position | None = None

    def missing(self, position: Position) -> list[EpochRange]:
        """What is stored beyond a position, oldest first."""
        beyond = []
        for stored in self.epochs:
            first = stored.first_seq
            if stored.epoch == position.epoch:
                first = max(first, position.seq + 1)
            if stored.epoch >= position.epoch and first <= stored.last_seq:
                beyond.append(EpochRange(stored.epoch, first, stored.last_seq))
        return beyond

    def settles(self, target: Position) -> bool:
        """Whether what is not stored up to `target` never will be."""
        return not self.more and Position(self.epoch, self.durable_seq) >= target


class ReplayClient:
    """A DEALER to a station's replay endpoint; one conversation, closed after it."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoint: str,
        timeout_s: float,
        key: ClientKey | None = None,
        malformed: Trouble | None = None,
    ) -> None:
        """Connect; an answer that takes longer than `timeout_s` is ReplayUnavailable.

        `malformed` counts what cannot be read; None for a count of its own.
        """
        self._timeout_ms = int(timeout_s * 1000)
        self._malformed = malformed or Trouble(UNREAD)
        self._socket = connect(context, zmq.DEALER, endpoint, key)
        # A client that has been revoked meanwhile has nobody to send to.
        self._socket.set(zmq.SNDTIMEO, self._timeout_ms)

    def snapshot(self, client: str | None = None, since: int | None = None) -> StationSnapshot:
        """Where the station is, and with `client` what that client has acknowledged.

        A station lists so many epochs at once, oldest first, with `since` from that one on; its
        answer says whether there are more.

        Raises:
            ReplayUnavailable: no answer, or one that is no snapshot.
        """
        self._send({"op": "snapshot", "client": client, "since": since})
        try:
            return StationSnapshot.model_validate_json(self._receive()[-1])
        except ValidationError as error:
            raise ReplayUnavailable(f"unexpected answer to snapshot: {error}") from error

    def replay(self, epoch: int, first: int, last: int) -> Iterator[Verdict]:
        """The verdicts that the station has stored of this range, in order.

        One that cannot be read, as a newer normline stored it, is passed over.

        Raises:
            ReplayUnavailable: the station falls silent, or refuses.
        """
        for start in range(first, last + 1, PAGE):
            yield from self._page(epoch, start, min(start + PAGE - 1, last))

    def _page(self, epoch: int, first: int, last: int) -> Iterator[Verdict]:
        self._send({"op": "replay", "epoch": epoch, "from": first, "to": last})
        while len(frames := self._receive()) == 2:
            try:
                verdict = Verdict.model_validate_json(frames[1])
            except ValidationError:
                self._malformed.came(frames[1][:EXAMPLE_BYTES])
                continue
            yield verdict

    def close(self) -> None:
        """Close the socket; an answer still on its way is dropped."""
        self._socket.close(linger=0)

    def _send(self, request: dict[str, Any]) -> None:
        try:
            self._socket.send_json(request)
        except zmq.Again:
            raise ReplayUnavailable("the station is not connected any more") from None

    def _receive(self) -> list[bytes]:
        """The frames of one answer: two for a verdict, one for all else."""
        if not self._socket.poll(self._timeout_ms):
            raise ReplayUnavailable("the station does not answer on its replay endpoint")
        frames = self._socket.recv_multipart()
        if len(frames) == 1:
            try:
                answer = json.loads(frames[0])
            except (ValueError, RecursionError) as error:
                raise ReplayUnavailable("the answer is not JSON") from error
            if not isinstance(answer, dict) or answer.get("op") == "error":
                raise ReplayUnavailable(f"the station refuses: {answer}")
        return frames
