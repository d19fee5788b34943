"""Requests: what may be asked on the ROUTER sockets, and how it is read and answered.

A request is one JSON frame; a DEALER peer sends it as it is, a REQ peer puts an empty frame in
front, which its replies then carry too.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import zmq
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from agent.keys import Client, Role
from agent.messaging.door import ANYONE, Domain, Door
from agent.names import Identifier

# SQLite's integers end here, and so do most readers' of JSON.
Number = Annotated[int, Field(ge=0, le=2**53)]


# A request is one frame behind the peer's name, for a REQ peer with an empty one between them.
MOST_FRAMES = 3
# It repeats what was sent.
LONGEST_REASON = 200
# Replies and verdicts kept for a peer that does not read; a replay goes on as it reads.
REPLIES_WAITING = 1000
# A peer that floods does not keep the line from its frames, nor the model from its core: after so
# long without a pause, requests wait for so long.
TURN_S = 0.002
REST_S = 0.008


class Request(BaseModel):
    """An operation by name; strict, so that nothing is guessed.

    Attributes:
        role: what a client must have for it; None for whoever may connect.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    role: ClassVar[Role | None] = None


class Snapshot(Request):
    """Where the station is; with `client`, also what that client has acknowledged.

    The epochs listed are the oldest that are stored, with `since` from that one on.
    """

    role = Role.READ
    op: Literal["snapshot"]
    client: Identifier | None = None
    since: Number | None = None


class Replay(Request):
    """The verdicts of an epoch from `first` to `last` ("from" and "to")."""

    role = Role.READ
    op: Literal["replay"]
    epoch: Number
    first: Number = Field(alias="from")
    last: Number = Field(alias="to")


class Acknowledge(Request):
    """A client is done with all up to (epoch, seq)."""

    role = Role.READ
    op: Literal["ack"]
    client: Identifier
    epoch: Number
    seq: Number


class Trigger(Request):
    """A part is in front of the camera."""

    role = Role.TRIGGER
    op: Literal["trigger"]
    part_id: Identifier
    deadline_ms: float | None = Field(None, gt=0, le=3_600_000)


class Select(Request):
    """The product that comes next."""

    role = Role.CONTROL
    op: Literal["select"]
    product_id: Identifier


class Start(Request):
    """Inspect."""

    role = Role.CONTROL
    op: Literal["start"]


class Stop(Request):
    """Inspect no more until `start`."""

    role = Role.CONTROL
    op: Literal["stop"]


class AskState(Request):
    """The station's state."""

    op: Literal["state"]


ReplayRequest = Annotated[Snapshot | Replay | Acknowledge, Field(discriminator="op")]
Command = Annotated[Trigger | Select | Start | Stop | AskState, Field(discriminator="op")]


class PeerGone(Exception):
    """The peer has disconnected."""


@dataclass(frozen=True)
class Peer:
    """Who has asked: the envelope to answer by, and the client."""

    envelope: tuple[bytes, ...]
    client: Client

    @property
    def asker(self) -> str | bytes:
        """Whose request it is: with keys the client's, however many connections it has."""
        return self.envelope[0] if self.client is ANYONE else self.client.name


class RequestSocket:
    """A ROUTER that reads one kind of request. What it cannot read is answered and counted."""

    def __init__(
        self, door: Door, endpoint: str, domain: Domain, requests: TypeAdapter[Any]
    ) -> None:
        """Bind.

        Raises:
            InputError: the endpoint is in use or cannot be bound.
        """
        # Not mandatory, ROUTER drops what it cannot deliver and says nothing.
        options: dict[int, int | bytes] = {
            zmq.ROUTER_MANDATORY: 1,
            zmq.SNDHWM: REPLIES_WAITING,
        }
        self._listener = door.open(zmq.ROUTER, endpoint, domain, options)
        self.socket = self._listener.socket
        self._requests = requests
        self._inside_message = False
        self._rests_until_s = 0.0

    @property
    def rest_s(self) -> float:
        """Seconds for which `receive` will give nothing, because too much has come."""
        return max(0.0, self._rests_until_s - time.monotonic())

    def receive(self, wait_ms: int) -> Iterator[tuple[Peer, Any]]:
        """Requests, for as long as there are any and at most TURN_S; waits for the first.

        What is malformed or forbidden to its sender is answered and counted here.
        """
        self._listener.renew()
        if (rest_s := self.rest_s) > 0:
            time.sleep(min(rest_s, wait_ms / 1000))
            return
        if not self.socket.poll(wait_ms):
            return
        until_s = time.monotonic() + TURN_S
        while self.socket.poll(0):
            if time.monotonic() > until_s:
                self._rests_until_s = time.monotonic() + REST_S
                return
            if self._inside_message:
                self._pass_over(until_s)
            elif (received := self._receive()) is not None:
                yield received

    def reply(self, peer: Peer, content: dict[str, Any]) -> bool:
        """Send one JSON object; False when the peer is gone or does not read."""
        try:
            return self.send(peer, [json.dumps(content).encode()])
        except PeerGone:
            return False

    def reply_error(self, peer: Peer, reason: str) -> None:
        """Say why a request is not carried out."""
        self.reply(peer, {"op": "error", "reason": reason})

    def send(self, peer: Peer, frames: list[bytes]) -> bool:
        """Send frames; False when the peer's queue is full.

        Raises:
            PeerGone: the peer has disconnected.
        """
        try:
            self.socket.send_multipart([*peer.envelope, *frames], zmq.NOBLOCK)
        except zmq.Again:
            return False
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            raise PeerGone from error
        return True

    def close(self) -> None:
        """Close; replies that were sent are still delivered."""
        self._listener.close()

    def _receive(self) -> tuple[Peer, Any] | None:
        frames = [self.socket.recv(copy=False)]
        while frames[-1].more and len(frames) < MOST_FRAMES:
            frames.append(self.socket.recv(copy=False))
        self._inside_message = frames[-1].more
        client = self._listener.client_of(frames[-1])
        if client is None:  # revoked a moment ago
            self._listener.forbidden += 1
            return None
        content = [frame.bytes for frame in frames]
        begins = 2 if len(content) == MOST_FRAMES and content[1] == b"" else 1
        peer = Peer(tuple(content[:begins]), client)
        if self._inside_message or len(content) != begins + 1:
            self._refuse(peer, "expected one frame")
            return None
        try:
            request = self._requests.validate_json(content[-1])
        except ValidationError as error:
            self._refuse(peer, _explain(error))
            return None
        if request.role is not None and request.role not in client.roles:
            self._listener.forbidden += 1
            reason = f"{client.name} may not {request.op}: it has not the role {request.role.value}"
            self.reply_error(peer, reason)
            return None
        return peer, request

    def _refuse(self, peer: Peer, reason: str) -> None:
        self._listener.malformed += 1
        self.reply_error(peer, reason)

    def _pass_over(self, until_s: float) -> None:
        """Drop what is left of a message; one without end must not hold the line up."""
        while self._inside_message and time.monotonic() < until_s and self.socket.poll(0):
            self._inside_message = self.socket.recv(copy=False).more


def _explain(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part) for part in problem["loc"])
    text = f"{where}: {problem['msg']}" if where else str(problem["msg"])
    return text[:LONGEST_REASON]
