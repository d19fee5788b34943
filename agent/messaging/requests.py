"""Requests: what may be asked on the ROUTER sockets, and how it is read and answered.

A request is one JSON frame; a DEALER peer sends it as it is, a REQ peer puts an empty frame in
front, which its replies then carry too.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

import zmq
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from agent.messaging.sockets import bind, open_socket

# Identifiers end up in logs and on terminals: no control characters.
Identifier = Annotated[str, Field(max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$")]
# SQLite's integers end here, and so do most readers' of JSON.
Number = Annotated[int, Field(ge=0, le=2**53)]


class Request(BaseModel):
    """An operation by name; strict, so that nothing is guessed."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Snapshot(Request):
    """Where the station is; with `client`, also what that client has acknowledged."""

    op: Literal["snapshot"]
    client: Identifier | None = None


class Replay(Request):
    """The verdicts of an epoch from `first` to `last` ("from" and "to")."""

    op: Literal["replay"]
    epoch: Number
    first: Number = Field(alias="from")
    last: Number = Field(alias="to")


class Acknowledge(Request):
    """A client is done with all up to (epoch, seq)."""

    op: Literal["ack"]
    client: Identifier
    epoch: Number
    seq: Number


class Trigger(Request):
    """A part is in front of the camera."""

    op: Literal["trigger"]
    part_id: Identifier
    deadline_ms: float | None = Field(None, gt=0, le=3_600_000)


class Select(Request):
    """The product that comes next."""

    op: Literal["select"]
    product_id: Identifier


class Start(Request):
    """Inspect."""

    op: Literal["start"]


class Stop(Request):
    """Inspect no more until `start`."""

    op: Literal["stop"]


class AskState(Request):
    """The station's state."""

    op: Literal["state"]


ReplayRequest = Annotated[Snapshot | Replay | Acknowledge, Field(discriminator="op")]
Command = Annotated[Trigger | Select | Start | Stop | AskState, Field(discriminator="op")]


class PeerGone(Exception):
    """The peer has disconnected."""


class RequestSocket:
    """A ROUTER that reads one kind of request. What it cannot read is answered and counted."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoint: str,
        requests: TypeAdapter[Any],
    ) -> None:
        """Bind.

        Raises:
            InputError: the endpoint is in use or cannot be bound.
        """
        self.socket = open_socket(context, zmq.ROUTER)
        # Without it, ROUTER drops what it cannot deliver and says nothing.
        self.socket.set(zmq.ROUTER_MANDATORY, 1)
        self._requests = requests
        self.malformed = 0
        bind(self.socket, endpoint)

    def receive(self, timeout_ms: int) -> tuple[list[bytes], Any] | None:
        """The next request with the envelope to answer it by; None when there is none.

        A malformed request is answered here and ends the call with None.
        """
        if not self.socket.poll(timeout_ms):
            return None
        frames = self.socket.recv_multipart(zmq.NOBLOCK)
        envelope, body = frames[:1], frames[1:]
        if len(body) == 2 and body[0] == b"":
            envelope, body = frames[:2], frames[2:]
        reason = "expected one frame"
        if len(body) == 1:
            try:
                return envelope, self._requests.validate_json(body[0])
            except ValidationError as error:
                reason = _explain(error)
        self.malformed += 1
        self.reply(envelope, {"op": "error", "reason": reason})
        return None

    def reply(self, envelope: list[bytes], content: dict[str, Any]) -> bool:
        """Send one JSON object; False when the peer is gone or does not read."""
        try:
            return self.send(envelope, [json.dumps(content).encode()])
        except PeerGone:
            return False

    def send(self, envelope: list[bytes], frames: list[bytes]) -> bool:
        """Send frames; False when the peer's queue is full.

        Raises:
            PeerGone: the peer has disconnected.
        """
        try:
            self.socket.send_multipart([*envelope, *frames], zmq.NOBLOCK)
        except zmq.Again:
            return False
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            raise PeerGone from error
        return True

    def close(self) -> None:
        """Close; replies that were sent are still delivered."""
        self.socket.close()


def _explain(error: ValidationError) -> str:
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"])
    return f"{where}: {problem['msg']}" if where else str(problem["msg"])
