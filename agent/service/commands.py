"""Commands from the PLC, carried out between two frames."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import Any

import zmq
from pydantic import TypeAdapter

from agent.journal import Journal
from agent.messaging.door import Domain, Door
from agent.messaging.requests import (
    Command,
    Peer,
    RequestSocket,
    Select,
    Start,
    Stop,
    Trigger,
)
from agent.service.line import Line
from agent.verdict import Reason

DURABLE_WAIT_S = 1.0


@dataclass(frozen=True)
class _Held:
    """An answer that waits until what it promises is on the disk."""

    ticket: int
    until_s: float
    peer: Peer
    content: dict[str, Any]


class CommandDesk:
    """Reads commands and answers them.

    A trigger is answered when the journal holds the part, so that an accepted part is answered
    also after a power loss. The camera does not wait for that.
    """

    def __init__(self, door: Door, endpoint: str, journal: Journal, product_id: str) -> None:
        """Bind.

        Raises:
            InputError: the endpoint is in use or cannot be bound.
        """
        commands: TypeAdapter[Any] = TypeAdapter(Command)
        self._socket = RequestSocket(door, endpoint, Domain.COMMANDS, commands)
        self._journal = journal
        self._product_id = product_id
        self._held: deque[_Held] = deque()

    @property
    def sources(self) -> list[zmq.Socket[bytes] | int]:
        """What to wake up for: commands, and the disk when an answer waits for it."""
        commands = [] if self.rest_s else [self._socket.socket]
        return [*commands, *([self._journal.descriptor] if self._held else [])]

    @property
    def rest_s(self) -> float:
        """Seconds for which commands are left waiting, because there are too many; else 0."""
        return self._socket.rest_s

    def serve(self, line: Line) -> None:
        """Carry out what has come, and answer what has become durable."""
        for peer, command in self._socket.receive(0):
            self._obey(line, peer, command)
        self._answer_held()

    def close(self) -> None:
        """Answer what is held, and close."""
        for held in self._held:
            self._socket.reply(held.peer, held.content)
        self._socket.close()

    def _obey(self, line: Line, peer: Peer, command: Any) -> None:
        if isinstance(command, Trigger):
            self._trigger(line, peer, command)
            return
        content: dict[str, Any] = {"op": command.op}
        if isinstance(command, Select):
            accepted = command.product_id == self._product_id
            content |= {"product_id": command.product_id, "accepted": accepted}
            if not accepted:
                content["reason"] = f"this station inspects {self._product_id}"
        elif isinstance(command, Start):
            line.start()
        elif isinstance(command, Stop):
            line.stop()
        self._socket.reply(peer, {**content, "state": line.state.value})

    def _trigger(self, line: Line, peer: Peer, command: Trigger) -> None:
        if line.has_open(command.part_id):
            reason = f"part {command.part_id} is open: it was triggered and has no verdict yet"
            error = {"op": "error", "part_id": command.part_id, "reason": reason}
            self._socket.reply(peer, error)
            return
        outcome = line.trigger(command.part_id, command.deadline_ms)
        content: dict[str, Any] = {"op": "trigger", "part_id": command.part_id}
        if isinstance(outcome, Reason):
            refusal = {**content, "accepted": False, "reason": outcome.value}
            self._socket.reply(peer, refusal)
            return
        content["accepted"] = True
        until_s = time.monotonic() + DURABLE_WAIT_S
        self._held.append(_Held(outcome, until_s, peer, content))

    def _answer_held(self) -> None:
        while self._held:
            held = self._held[0]
            # With the disk full the line goes on, and says so in its heartbeat.
            gives_up = self._journal.fault is not None or time.monotonic() > held.until_s
            if not (gives_up or self._journal.is_durable(held.ticket)):
                return
            self._held.popleft()
            self._socket.reply(held.peer, held.content)
