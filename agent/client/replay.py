"""Asking a station for what was missed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import zmq
from pydantic import BaseModel, ConfigDict, ValidationError

from agent.journal.reader import EpochRange
from agent.messaging.endpoint import check_endpoint
from agent.messaging.sockets import open_socket
from agent.states import State
from agent.verdict import Verdict


class ReplayUnavailable(Exception):
    """The station did not answer, or refused; what is missing can be asked for again later."""


@dataclass(frozen=True, order=True)
class Position:
    """A place in a station's stream of verdicts: the last one that was dealt with."""

    epoch: int
    seq: int


class StationSnapshot(BaseModel):
    """What a station answers to `snapshot`."""

    model_config = ConfigDict(frozen=True)

    epoch: int
    first_seq: int
    durable_seq: int
    state: State
    epochs: list[EpochRange]

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


class ReplayClient:
    """A DEALER to a station's replay endpoint; one conversation, closed after it."""

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str, timeout_s: float
    ) -> None:
        """Connect; an answer that takes longer than `timeout_s` is ReplayUnavailable."""
        self._timeout_ms = int(timeout_s * 1000)
        self._socket = open_socket(context, zmq.DEALER)
        self._socket.connect(check_endpoint(endpoint))

    def snapshot(self) -> StationSnapshot:
        """Where the station is.

        Raises:
            ReplayUnavailable: no answer, or one that is no snapshot.
        """
        self._send({"op": "snapshot"})
        try:
            return StationSnapshot.model_validate_json(self._receive()[-1])
        except ValidationError as error:
            raise ReplayUnavailable(f"unexpected answer to snapshot: {error}") from error

    def replay(self, epoch: int, first: int, last: int) -> Iterator[Verdict]:
        """The verdicts that the station has stored of this range, in order.

        Raises:
            ReplayUnavailable: the station falls silent, refuses, or sends what is no verdict.
        """
        self._send({"op": "replay", "epoch": epoch, "from": first, "to": last})
        while len(frames := self._receive()) == 2:
            try:
                yield Verdict.model_validate_json(frames[1])
            except ValidationError as error:
                raise ReplayUnavailable(f"a verdict could not be read: {error}") from error

    def acknowledge(self, client: str, position: Position) -> None:
        """Tell the station that `client` is done up to a position.

        Raises:
            ReplayUnavailable: no answer, or refused.
        """
        self._send({"op": "ack", "client": client, "epoch": position.epoch, "seq": position.seq})
        self._receive()

    def close(self) -> None:
        """Close the socket; an answer still on its way is dropped."""
        self._socket.close(linger=0)

    def _send(self, request: dict[str, Any]) -> None:
        self._socket.send_json(request)

    def _receive(self) -> list[bytes]:
        """The frames of one answer: two for a verdict, one for all else."""
        if not self._socket.poll(self._timeout_ms):
            raise ReplayUnavailable("the station does not answer on its replay endpoint")
        frames = self._socket.recv_multipart()
        if len(frames) == 1:
            try:
                answer = json.loads(frames[0])
            except ValueError as error:
                raise ReplayUnavailable("the answer is not JSON") from error
            if not isinstance(answer, dict) or answer.get("op") == "error":
                raise ReplayUnavailable(f"the station refuses: {answer}")
        return frames
