"""The gate's loop: parts enter, the station is asked, and the output follows its answers."""

from __future__ import annotations

import logging
import math
import time

import zmq
from pydantic import BaseModel, ValidationError

from agent.client.connection import client_context, connect
from agent.gate.belt import Belt
from agent.gate.config import GateFile
from agent.gate.encoder import Position
from agent.gate.output import Output
from agent.gate.sensor import Sensor
from agent.keys.files import ClientKey, read_secret_file
from agent.messaging.topics import Address, kind_of
from agent.sleep import SleepWatch
from agent.trouble import Trouble
from agent.verdict import Outcome, Verdict

log = logging.getLogger(__name__)

# How often the output is looked after.
LOOK_MS = 1
# As for any subscriber: several heartbeats.
SILENT_S = 1.0
# ZeroMQ itself does not try again where a key was once refused.
CONNECT_AGAIN_S = 3.0
MESSAGES_A_TURN = 100
# Of a message, for the log.
EXAMPLE_BYTES = 200


class _Answer(BaseModel):
    """What a station answers to a trigger, an error too."""

    accepted: bool = False


class RejectGate:
    """Lets a part through while it holds a valid PASS for the part that is at the gate.

    REJECT, NO_DECISION, lateness, a PASS for another part, one on a picture that was taken too
    late to show the part, and a station that is silent all reject. Silence also takes back every
    PASS for what is on the belt: what the station said meanwhile was not heard. So does a machine
    that has slept: where the belt has gone meanwhile is unknown.

    Attributes:
        malformed: verdicts that could not be read.
        refused: triggers that the station did not accept.
        unused: PASSes that let nothing through.
    """

    def __init__(self, gate: GateFile, sensor: Sensor, output: Output, position: Position) -> None:
        """Connect to the station; the caller closes sensor and output.

        Raises:
            InputError: the key cannot be read.
        """
        self._gate = gate
        self._sensor = sensor
        self._output = output
        self._position = position
        self._key = read_secret_file(gate.key, ClientKey) if gate.key else None
        travel = gate.travel
        self._belt = Belt(travel.distance, travel.window, counted=travel.encoder is not None)
        self._context = client_context()
        # Nothing was heard yet.
        self._heard_at_s = -math.inf
        self._silent = True
        self._sleep = SleepWatch()
        self.malformed = Trouble("a verdict cannot be read (is the station newer than the gate?)")
        self.refused = Trouble("the station does not accept a trigger")
        self.unused = Trouble("a PASS is not used")
        self._unheard = Trouble("the station does not hear a trigger")
        self._never_heard = Trouble(
            "nothing is heard from the station, and all is rejected (is it running, are site, line "
            "and name as in its station file, and where it has keys, may this gate's read?)"
        )
        self._connect()

    @property
    def counts(self) -> str:
        """What was let through and what not, and what went wrong, in words."""
        counts = self._belt.counts
        return (
            f"{counts.passed} passed, {counts.rejected} rejected, {self.unused.count} PASS not "
            f"used; {self.malformed.count} verdicts not readable, {self.refused.count} triggers "
            f"not accepted, {self._sensor.malformed} lines without a part id"
        )

    def turn(self) -> None:
        """Take in what has come, and drive the output accordingly.

        Raises:
            InputError: sensor or encoder cannot be read, or the output cannot be driven; it
                rejects from then on, where it can be.
        """
        poller = zmq.Poller()
        poller.register(self._verdicts, zmq.POLLIN)
        poller.register(self._sensor.descriptor, zmq.POLLIN)
        poller.poll(LOOK_MS)
        try:
            # Before the sensor is read: of each picture it is known then who had come before it.
            heard = self._receive()
            for part_id, since_ns in self._sensor.parts():
                self._enter(part_id, since_ns)
            for frames in heard:
                self._hear(frames)
            self._supervise()
            self._output.drive(self._belt.may_pass(self._position()) and not self._silent)
        except BaseException:
            self._output.drive(False)
            raise

    def close(self) -> None:
        """Reject, and end the connections."""
        self._output.drive(False)
        self._context.destroy(linger=0)

    def _connect(self) -> None:
        self._connected_at_s = time.monotonic()
        endpoints, place = self._gate.endpoints, self._gate.station
        self._verdicts = connect(self._context, zmq.SUB, endpoints.verdicts, self._key)
        address = Address(place.site, place.line, place.name)
        for topic in (address.verdicts, address.heartbeat):
            self._verdicts.set(zmq.SUBSCRIBE, topic)
        # A trigger that waits for the station to come back would ask about another part.
        self._commands = connect(
            self._context, zmq.DEALER, endpoints.commands, self._key, immediate=True
        )

    def _enter(self, part_id: str, since_ns: int) -> None:
        self._belt.enter(part_id, self._position(), since_ns)
        try:
            self._commands.send_json({"op": "trigger", "part_id": part_id}, zmq.NOBLOCK)
        except zmq.Again:
            self._unheard.came(f"part {part_id}")

    def _receive(self) -> list[list[bytes]]:
        while self._commands.poll(0):
            answer = self._commands.recv()
            if not _is_accepted(answer):
                self.refused.came(answer[:EXAMPLE_BYTES])
        heard: list[list[bytes]] = []
        while len(heard) < MESSAGES_A_TURN and self._verdicts.poll(0):
            heard.append(self._verdicts.recv_multipart())
        return heard

    def _hear(self, frames: list[bytes]) -> None:
        self._heard_at_s = time.monotonic()
        if kind_of(frames[0]) == "heartbeat":
            return
        try:
            verdict = Verdict.model_validate_json(frames[1])
        except (IndexError, ValidationError):
            # Whose verdict it was cannot be known.
            self.malformed.came(frames[-1][:EXAMPLE_BYTES])
            self._belt.refuse_all()
            return
        if verdict.verdict is not Outcome.PASS or verdict.late:
            self._belt.refuse(verdict.part_id)
        elif (doubt := self._doubt(verdict)) is not None:
            self._belt.refuse(verdict.part_id)
            self.unused.came(f"part {verdict.part_id}: {doubt}")
        elif (too_late := self._belt.allow(verdict.part_id, self._position())) is not None:
            self.unused.came(f"part {verdict.part_id}: {too_late}")

    def _doubt(self, verdict: Verdict) -> str | None:
        """Why a PASS is none for the part of its id."""
        if verdict.simulated and not self._gate.accept_simulated:
            return "no camera took its picture (for trials: accept_simulated)"
        stages = verdict.durations_ms
        if stages.queue is None or stages.inference is None or stages.decide is None:
            return "when its picture was taken is not told"
        # The picture was taken at least so long ago as its stages lasted, by the gate's own clock.
        ago_ms = stages.queue + stages.inference + stages.decide
        return self._belt.doubt(verdict.part_id, ago_ms, self._gate.in_view_ms)

    def _supervise(self) -> None:
        if self._sleep.has_slept():
            self._belt.refuse_all()
            log.warning("the machine was suspended: all that is on the belt is rejected")
        now_s = time.monotonic()
        silent = now_s - self._heard_at_s > SILENT_S
        if silent:
            self._belt.refuse_all()
            if now_s - self._connected_at_s > CONNECT_AGAIN_S:
                if self._heard_at_s == -math.inf:
                    place = self._gate.station
                    where = f"{place.site}/{place.line}/{place.name}"
                    self._never_heard.came(f"{where} at {self._gate.endpoints.verdicts}")
                self._verdicts.close(linger=0)
                self._commands.close(linger=0)
                self._connect()
        if silent != self._silent:
            self._silent = silent
            log.warning("the station is silent: all is rejected" if silent else "it is heard")


def _is_accepted(answer: bytes) -> bool:
    try:
        return _Answer.model_validate_json(answer).accepted
    except ValidationError:
        return False
