"""The gate against a station that says what the test wants: sockets, pipe and output are real."""

from __future__ import annotations

import json
import os
import select
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
import zmq

from agent.errors import InputError
from agent.gate import RejectGate, load_gate
from agent.gate.config import Endpoints
from agent.gate.encoder import open_position
from agent.gate.output import FileOutput, open_output
from agent.gate.sensor import PART_ID, FifoSensor, Sensor, open_sensor
from agent.messaging.topics import Address
from agent.section import StationName
from agent.verdict import Durations, Outcome, Reason
from tests.agent.conftest import free_endpoint
from tests.agent.factories import make_verdict

ADDRESS = Address("a", "b", "c")
STAGES = Durations(queue=0.0, inference=0.0, decide=0.0)
LIMIT_S = 20.0


class Rig:
    """A gate whose belt is a file of counts, and both ends of its wires."""

    def __init__(self, folder: Path, context: zmq.Context) -> None:
        self.pipe, self.out, self.count = folder / "pipe", folder / "out", folder / "count"
        self.endpoints = {"verdicts": free_endpoint(), "commands": free_endpoint()}
        self.publisher = context.socket(zmq.PUB)
        self.publisher.bind(self.endpoints["verdicts"])
        self.commands = context.socket(zmq.ROUTER)
        self.commands.bind(self.endpoints["commands"])
        self.at(0)
        file = folder / "gate.yaml"
        file.write_text(
            yaml.safe_dump(
                {
                    "station": {"site": "a", "line": "b", "name": "c"},
                    "endpoints": self.endpoints,
                    "sensor": f"fifo://{self.pipe}",
                    "output": {"uri": f"file://{self.out}", "signal": "level"},
                    "travel": {
                        "encoder": f"file://{self.count}",
                        "delay_counts": 100,
                        "window_counts": 20,
                    },
                    "in_view_ms": 60_000.0,
                    "accept_simulated": True,
                }
            )
        )
        settings = load_gate(file)
        self.output = open_output(settings.output.uri, alternating=False)
        self.sensor = FifoSensor(self.pipe)
        self.gate = RejectGate(
            settings, self.sensor, self.output, open_position(settings.travel.encoder)
        )

    def at(self, count: int) -> None:
        self.count.write_text(f"{count}\n")

    def move(self, count: int) -> None:
        """The belt moves on; no encoder jumps."""
        for between in range(int(self.count.read_text()), count, 10):
            self.at(between)
            self.gate.turn()
        self.at(count)
        self.gate.turn()

    @property
    def is_open(self) -> bool:
        return self.out.read_bytes() == b"1\n"

    def turn_until(self, reached: Callable[[], bool]) -> None:
        end_s = time.monotonic() + LIMIT_S
        while not reached():
            assert time.monotonic() < end_s, "not reached"
            self.beat()
            self.gate.turn()

    def connect(self) -> None:
        """Turn until the gate hears the station, and the station a trigger."""
        self.turn_until(
            lambda: not self.gate._silent and bool(self.gate._commands.poll(0, zmq.POLLOUT))
        )

    def beat(self) -> None:
        self.publisher.send_multipart([ADDRESS.heartbeat, b"{}"])

    def enter(self, part_id: str, answer: dict[str, Any] | None = None) -> None:
        """A part is seen, and the station hears the trigger, and answers."""
        with self.pipe.open("w") as pipe:
            pipe.write(f"{part_id}\n")
        triggers: list[Any] = []

        def triggered() -> bool:
            if self.commands.poll(0):
                peer, trigger = self.commands.recv_multipart()
                triggers.append(trigger)
                taken = {"op": "trigger", "part_id": part_id, "accepted": True}
                self.commands.send_multipart([peer, json.dumps(answer or taken).encode()])
            return bool(triggers)

        self.turn_until(triggered)
        assert [json.loads(each) for each in triggers] == [{"op": "trigger", "part_id": part_id}]

    def say(self, part_id: str, **changes: Any) -> None:
        """A verdict; returns when the gate has heard it."""
        verdict = make_verdict(part_id=part_id, **{"durations_ms": STAGES, **changes})
        self.publisher.send_multipart([ADDRESS.verdict("tiny"), verdict.to_json()])
        self.publisher.send_multipart([ADDRESS.verdict("tiny"), b"end of what is said"])
        before = self.gate.malformed.count
        belt = self.gate._belt
        refuse_all, belt.refuse_all = belt.refuse_all, lambda: None  # the end is no disturbance
        self.turn_until(lambda: self.gate.malformed.count > before)
        belt.refuse_all = refuse_all

    def close(self) -> None:
        self.gate.close()
        self.sensor.close()
        self.output.close()


@pytest.fixture
def rig(tmp_path: Path, context: zmq.Context, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    # A busy machine takes its time: `test_belt` tells what a belt that stands means.
    monkeypatch.setattr("agent.gate.belt.STILL_S", LIMIT_S)
    monkeypatch.setattr("agent.gate.gate.SILENT_S", LIMIT_S)
    monkeypatch.setattr("agent.gate.encoder.REWRITTEN_S", LIMIT_S)
    rig = Rig(tmp_path, context)
    rig.connect()
    yield rig
    rig.close()


def open_at(rig: Rig, count: int) -> bool:
    rig.move(count)
    return rig.is_open


def test_the_name_that_triggers_go_to_is_looked_up_beside_the_verdicts(rig: Rig) -> None:
    """ZeroMQ's thread that looks up a name hears nothing while the name server is away."""
    threads = [rig.gate._verdicts.get(zmq.AFFINITY), rig.gate._commands.get(zmq.AFFINITY)]
    assert threads == [1, 2]


def test_a_pass_for_the_part_opens_the_gate_while_the_part_is_there(rig: Rig) -> None:
    rig.enter("A17")
    rig.say("A17")
    assert [open_at(rig, count) for count in (50, 89, 90, 100, 110, 111)] == [
        False, False, True, True, True, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "verdict",
    [
        {"part_id": "A18"},
        {"part_id": "A17", "verdict": Outcome.REJECT},
        {
            "part_id": "A17", "verdict": Outcome.NO_DECISION, "reason": Reason.DEADLINE,
            "late": True,
        },
        # in time, and on a picture of the part
        {
            "part_id": "A17", "verdict": Outcome.NO_DECISION, "reason": Reason.ENGINE_FAULT,
        },
        # how old its picture is cannot be told
        {"part_id": "A17", "durations_ms": Durations()},
        {"part_id": "A17", "durations_ms": STAGES.model_copy(update={"queue": None})},
        {"part_id": "A17", "durations_ms": STAGES.model_copy(update={"inference": None})},
        {"part_id": "A17", "durations_ms": STAGES.model_copy(update={"decide": None})},
    ],
)  # fmt: skip
def test_nothing_else_opens_it(rig: Rig, verdict: dict[str, Any]) -> None:
    rig.enter("A17")
    rig.say(**verdict)
    assert not any(open_at(rig, count) for count in range(80, 120, 5))


def test_a_pass_that_is_followed_by_another_verdict_opens_nothing(rig: Rig) -> None:
    """Two parts had one id: whose PASS it was cannot be known."""
    rig.enter("A17")
    rig.say("A17")
    rig.say("A17", verdict=Outcome.REJECT)
    assert not open_at(rig, 100)


def test_a_pass_that_comes_at_the_gate_is_too_late(rig: Rig) -> None:
    rig.enter("A17")
    rig.move(95)
    rig.say("A17")
    assert not any(open_at(rig, count) for count in range(95, 120, 5))
    assert "1 PASS not used" in rig.gate.counts


def test_a_picture_taken_when_the_part_was_gone_opens_nothing(rig: Rig) -> None:
    rig.gate._gate = rig.gate._gate.model_copy(update={"in_view_ms": 0.001})
    rig.enter("A17")
    rig.say("A17", durations_ms=Durations(queue=0.0, inference=0.0, decide=0.0))
    assert not open_at(rig, 100)


@pytest.mark.parametrize("stage", ["queue", "inference", "decide"])
def test_a_picture_taken_before_the_part_came_opens_nothing(rig: Rig, stage: str) -> None:
    """It shows the part before, whose id may have been the same."""
    rig.enter("A17")
    # longer ago than the part is old, and less than it may be in view
    rig.say("A17", durations_ms=STAGES.model_copy(update={stage: 59_000.0}))
    assert not open_at(rig, 100)


def test_a_pass_for_a_part_that_has_left_is_counted(rig: Rig) -> None:
    rig.enter("A17")
    assert not open_at(rig, 111)
    rig.say("A17")
    assert "1 PASS not used" in rig.gate.counts


def test_a_part_that_came_before_a_picture_is_known_when_its_verdict_is_judged(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gate was held up after it had read the sensor, and the picture was the next part's."""
    monkeypatch.setattr("agent.gate.belt.BOUNCE_NS", 0)
    rig.enter("A17")
    read = rig.sensor.parts

    def is_held_up() -> list[tuple[str, int]]:
        monkeypatch.setattr(rig.sensor, "parts", read)
        found = read()
        rig.at(10)
        rig.pipe.write_text("A18\n")
        verdict = make_verdict(part_id="A17", durations_ms=STAGES)
        rig.publisher.send_multipart([ADDRESS.verdict("tiny"), verdict.to_json()])
        assert rig.gate._verdicts.poll(LIMIT_S * 1000)
        return found

    monkeypatch.setattr(rig.sensor, "parts", is_held_up)
    part = rig.gate._belt._parts[0]
    rig.turn_until(lambda: part.passed or part.refused)
    assert part.refused


def test_a_part_is_as_old_as_its_sensor_says(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    came = [("A17", time.monotonic_ns() - 61 * 10**9)]
    with monkeypatch.context() as patch:
        patch.setattr(rig.sensor, "parts", lambda: came)
        rig.gate.turn()
    rig.say("A17")
    assert not open_at(rig, 100)
    assert rig.gate.unused.count == 1


@pytest.mark.parametrize(
    ("changes", "settings", "why"),
    [
        ({"simulated": True}, {"accept_simulated": False}, "no camera took its picture"),
        ({}, {"in_view_ms": 0.001}, "in_view_ms is 0.001"),
        ({"durations_ms": Durations()}, {}, "when its picture was taken is not told"),
        ({"part_id": "A16"}, {}, "at the gate already, or not on the belt"),
    ],
)
def test_a_pass_that_is_not_used_is_told_with_its_reason(
    rig: Rig,
    caplog: pytest.LogCaptureFixture,
    changes: dict[str, Any],
    settings: dict[str, Any],
    why: str,
) -> None:
    """The station passed every part, the gate rejected them all, and nobody said why."""
    rig.gate._gate = rig.gate._gate.model_copy(update=settings)
    rig.enter("A17")
    rig.say(**{"part_id": "A17", **changes})
    (line,) = told(caplog, "a PASS is not used")
    assert why in line
    assert "1 PASS not used" in rig.gate.counts
    rig.say("A17", verdict=Outcome.REJECT)
    assert rig.gate.unused.count == 1


def test_a_gate_that_never_hears_its_station_says_so(
    rig: Rig, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file named another station: triggered and passed, every part was rejected in silence."""
    monkeypatch.setattr("agent.gate.gate.CONNECT_AGAIN_S", 0.0)
    settings = rig.gate._gate.model_copy(
        update={"station": StationName(site="a", line="b", name="d")}
    )
    gate = RejectGate(settings, rig.sensor, rig.output, lambda: 0)
    gate.turn()
    gate.close()
    (line,) = told(caplog, "nothing is heard from the station")
    assert f"a/b/d at {rig.endpoints['verdicts']}" in line


def test_a_simulated_picture_opens_nothing_unless_it_is_a_trial(rig: Rig) -> None:
    rig.gate._gate = rig.gate._gate.model_copy(update={"accept_simulated": False})
    rig.enter("A17")
    rig.say("A17", simulated=True)
    assert not open_at(rig, 100)
    rig.enter("A18")
    rig.say("A18", simulated=False)
    assert open_at(rig, 200)


def test_silence_takes_back_a_pass(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.enter("A17")
    rig.say("A17")
    assert open_at(rig, 100)
    with monkeypatch.context() as patch:
        patch.setattr("agent.gate.gate.SILENT_S", 0.0)
        assert not open_at(rig, 100)
    rig.connect()
    assert not open_at(rig, 100)


def test_a_gate_that_was_refused_once_connects_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its key was listed after it had come: it rejected the whole line until it was restarted."""
    before = rig.gate._verdicts, rig.gate._commands
    with monkeypatch.context() as patch:
        patch.setattr("agent.gate.gate.SILENT_S", 0.0)
        patch.setattr("agent.gate.gate.CONNECT_AGAIN_S", 0.0)
        rig.gate.turn()
    assert all(socket.closed for socket in before)
    rig.connect()
    rig.enter("A17")
    rig.say("A17")
    assert open_at(rig, 100)


def test_a_trigger_that_nobody_hears_does_not_wait_for_the_station(rig: Rig) -> None:
    """When the station came back, it asked about a part that had long gone by."""
    away = Endpoints(verdicts=free_endpoint(), commands=free_endpoint())
    settings = rig.gate._gate.model_copy(update={"endpoints": away})
    gate = RejectGate(settings, rig.sensor, rig.output, lambda: 0)
    gate._enter("A17", 0)
    assert gate._unheard.count == 1
    gate.close()


def test_a_machine_that_has_slept_takes_back_a_pass(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The belt went on, and the clock by which its parts are known did not."""
    rig.enter("A17")
    rig.say("A17")
    assert open_at(rig, 100)
    monkeypatch.setattr("agent.sleep._asleep_s", lambda: time.monotonic() + 3600.0)
    assert not open_at(rig, 100)
    assert told(caplog, "the machine was suspended")


def told(caplog: pytest.LogCaptureFixture, words: str) -> list[str]:
    return [each.getMessage() for each in caplog.records if words in each.getMessage()]


@pytest.mark.parametrize("payload", [[b"{"], []], ids=["no JSON", "nothing"])
def test_what_cannot_be_read_rejects_all_that_is_on_the_belt_and_is_told(
    rig: Rig, caplog: pytest.LogCaptureFixture, payload: list[bytes]
) -> None:
    rig.enter("A17")
    rig.say("A17")
    rig.publisher.send_multipart([ADDRESS.verdict("tiny"), *payload])
    before = rig.gate.malformed.count
    rig.turn_until(lambda: rig.gate.malformed.count > before)
    assert not open_at(rig, 100)
    assert told(caplog, "a verdict cannot be read")
    assert f"{before + 1} verdicts not readable" in rig.gate.counts


def test_an_output_that_is_gone_is_one_line(rig: Rig) -> None:
    """A chip that is unplugged, a full disk: it ended in a traceback."""
    output = FileOutput.__new__(FileOutput)
    output._path = Path("/dev/full")
    output._descriptor = os.open(output._path, os.O_WRONLY)
    rig.gate._output = output
    with pytest.raises(InputError, match="cannot drive the output /dev/full: No space left"):
        rig.gate.turn()
    rig.gate._output = rig.output


def test_an_encoder_that_cannot_be_read_rejects_and_ends_the_gate(rig: Rig) -> None:
    rig.enter("A17")
    rig.say("A17")
    assert open_at(rig, 100)
    rig.count.write_text("no count")
    with pytest.raises(InputError, match="cannot read the encoder"):
        rig.gate.turn()
    assert not rig.is_open


def test_an_encoder_that_is_just_being_rewritten_counts_what_it_did(rig: Rig) -> None:
    """Its file is empty for a moment: the gate ended, and was started again, for ever."""
    rig.enter("A17")
    rig.say("A17")
    assert open_at(rig, 100)
    rig.count.write_text("")
    rig.gate.turn()
    assert rig.is_open
    rig.at(101)
    rig.gate.turn()
    assert rig.is_open


def test_an_encoder_that_stays_empty_rejects_and_ends_the_gate(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.gate.encoder.REWRITTEN_S", 0.01)
    rig.count.write_text("")
    with pytest.raises(InputError, match="cannot read the encoder .*: it is empty"):
        rig.turn_until(lambda: False)
    assert not rig.is_open


def test_a_gate_that_starts_while_its_encoder_is_being_rewritten_reads_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = tmp_path / "count"
    count.touch()
    monkeypatch.setattr("agent.gate.encoder.REWRITTEN_S", LIMIT_S)
    monkeypatch.setattr("agent.gate.encoder.time.sleep", lambda _: count.write_text("7\n"))
    assert open_position(f"file://{count}")() == 7


def test_at_its_end_the_gate_rejects(rig: Rig) -> None:
    rig.enter("A17")
    rig.say("A17")
    assert open_at(rig, 100)
    rig.gate.close()
    assert not rig.is_open


def test_what_is_no_part_id_enters_nothing_and_is_told(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    descriptor = os.open(rig.pipe, os.O_WRONLY)
    os.write(descriptor, b"\n\xff\xfe\n" + b"x" * 200 + b"\na\x1bb\n" + "a\x85b\n".encode())
    os.close(descriptor)
    rig.turn_until(lambda: rig.sensor.malformed == 5)
    assert not rig.commands.poll(0)
    assert len(told(caplog, "the sensor brings what is no part id")) == 1
    assert "5 lines without a part id" in rig.gate.counts


def ids(sensor: Sensor) -> list[str]:
    return [part_id for part_id, _ in sensor.parts()]


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[tuple[FifoSensor, int]]:
    """A sensor, and where its reader of codes writes."""
    sensor = FifoSensor(tmp_path / "codes")
    writer = os.open(tmp_path / "codes", os.O_WRONLY)
    yield sensor, writer
    with suppress(OSError):
        os.close(writer)
    sensor.close()


def test_a_part_id_that_comes_in_two_pieces_is_one(pipe: tuple[FifoSensor, int]) -> None:
    """A serial line brings it so: its end alone is the id of another part."""
    sensor, writer = pipe
    os.write(writer, b"A16\nA1")
    assert ids(sensor) == ["A16"]
    os.write(writer, b"7\n")
    assert ids(sensor) == ["A17"]


def test_an_id_has_not_come_before_the_pipe_was_read_empty(
    pipe: tuple[FifoSensor, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gate that is held up reads late what came at some time since its look before."""
    sensor, writer = pipe
    now = SimpleNamespace(ns=100)
    monkeypatch.setattr("agent.gate.sensor.time.monotonic_ns", lambda: now.ns)

    def look(ns: int, text: bytes = b"") -> list[tuple[str, int]]:
        if text:
            os.write(writer, text)
        now.ns = ns
        return sensor.parts()

    look(100)
    assert look(200, b"A1\nA2\n") == [("A1", 100), ("A2", 100)]
    assert look(300) == []
    assert look(400, b"A3\nA") == [("A3", 300)]
    assert look(500, b"4\n") == [("A4", 300)]  # it had begun to come before 400
    assert look(600, b"A5\n") == [("A5", 500)]
    line = b"x" * 63 + b"\n"
    assert len(look(700, line * 65)) == 64  # as much as one look takes
    assert [since for _, since in look(800)] == [600]
    assert look(900, b"A6\n") == [("A6", 800)]


def test_ids_that_waited_for_the_gate_are_dropped_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Each of them triggered the station: parts long gone got verdicts on what was in view."""
    path = tmp_path / "codes"
    os.mkfifo(path)
    writer = os.open(path, os.O_RDWR)
    os.write(writer, b"A17\n" * 2000 + b"A1")
    sensor = FifoSensor(path)
    assert ids(sensor) == []
    assert told(caplog, "have gone by: 2000 lines")
    os.write(writer, b"8\n")
    assert ids(sensor) == ["A18"]
    os.close(writer)
    sensor.close()


def test_a_line_without_an_end_is_told_once_and_fills_no_memory(
    pipe: tuple[FifoSensor, int],
) -> None:
    sensor, writer = pipe
    for _ in range(2):
        os.write(writer, b"x" * 4096)
        assert sensor.parts() == []
    assert (sensor.malformed, sensor._rest) == (1, b"")
    os.write(writer, b"\nA17\n")
    assert ids(sensor) == ["A17"]


def test_a_reader_of_codes_that_ends_leaves_the_gate_its_core(
    pipe: tuple[FifoSensor, int],
) -> None:
    """A pipe at its end wakes up whoever waits for it, again and again."""
    sensor, writer = pipe
    os.close(writer)
    assert select.select([sensor.descriptor], [], [], 0)[0] == []
    assert sensor.parts() == []


def test_the_group_may_write_into_the_pipe_whatever_the_umask(tmp_path: Path) -> None:
    mask = os.umask(0o077)
    try:
        FifoSensor(tmp_path / "codes").close()
    finally:
        os.umask(mask)
    assert (tmp_path / "codes").stat().st_mode & 0o777 == 0o620


@pytest.mark.parametrize("wire", [FifoSensor, FileOutput])
def test_two_gates_share_no_wire(wire: type[FifoSensor] | type[FileOutput], tmp_path: Path) -> None:
    """Each had half of the parts, and two that came to the gate at once were one to either."""
    first = wire(tmp_path / "wire")
    with pytest.raises(InputError, match="another gate uses .*wire"):
        wire(tmp_path / "wire")
    first.close()
    wire(tmp_path / "wire").close()


def test_a_file_is_no_sensor(tmp_path: Path) -> None:
    (tmp_path / "codes").write_text("A17\n")
    with pytest.raises(InputError, match="is not a named pipe"):
        FifoSensor(tmp_path / "codes")


def test_a_station_that_takes_no_triggers_is_told_and_does_not_fill_the_log(
    rig: Rig, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One in free run refuses them all: the gate rejected the whole line and said nothing."""
    words = "the station does not accept a trigger"

    def refuse(number: int) -> None:
        part = f"A{number}"
        answer = {"op": "trigger", "part_id": part, "accepted": False, "reason": "NOT_READY"}
        rig.enter(part, answer)
        rig.turn_until(lambda: rig.gate.refused.count == number)

    refuse(1)
    (line,) = told(caplog, words)
    assert "NOT_READY" in line
    refuse(2)
    assert told(caplog, words) == [line]
    monkeypatch.setattr(rig.gate.refused, "_due_s", 0.0)  # some time later
    refuse(3)
    assert "3 so far" in told(caplog, words)[-1]
    assert "3 triggers not accepted" in rig.gate.counts
    rig.enter("A4")
    assert rig.gate._commands.poll(LIMIT_S * 1000)
    rig.gate.turn()
    assert rig.gate.refused.count == 3  # of the one that was accepted nothing is said


def test_a_station_that_hears_no_triggers_is_told_and_does_not_fill_the_log(
    rig: Rig, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unheard(*_: object) -> None:
        raise zmq.Again

    monkeypatch.setattr(rig.gate, "_commands", SimpleNamespace(send_json=unheard))
    rig.gate._enter("A1", 0)
    rig.gate._enter("A2", 0)
    assert told(caplog, "does not hear") == [
        "the station does not hear a trigger, 1 so far: part A1"
    ]


@pytest.mark.parametrize("answer", [{"op": "error", "reason": "part A1 is open"}, {"a": 1}])
def test_whatever_is_no_yes_to_a_trigger_is_told(
    rig: Rig, caplog: pytest.LogCaptureFixture, answer: dict[str, Any]
) -> None:
    rig.enter("A1", answer)
    rig.turn_until(lambda: rig.gate.refused.count == 1)
    assert told(caplog, "the station does not accept a trigger")


def test_parts_at_a_gpio_line_have_other_ids_after_a_boot_without_a_clock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They began again at the same second, and one part's PASS was there for another."""
    edges = [SimpleNamespace(timestamp_ns=5), SimpleNamespace(timestamp_ns=7)]
    request = SimpleNamespace(fd=0, wait_edge_events=lambda _: True, read_edge_events=lambda: edges)
    gpiod = SimpleNamespace(
        LineSettings=lambda **_: None,
        line=SimpleNamespace(Direction=SimpleNamespace(INPUT=0), Edge=SimpleNamespace(RISING=0)),
        request_lines=lambda *_, **__: request,
    )
    monkeypatch.setitem(sys.modules, "gpiod", gpiod)
    monkeypatch.setattr("time.time", lambda: 0.0)
    parts = [each for _ in range(2) for each in open_sensor("gpio:///dev/gpiochip0/4").parts()]
    assert [since_ns for _, since_ns in parts] == [5, 7, 5, 7]  # when its edge was, not the look
    assert len({part_id for part_id, _ in parts}) == 4
    assert all(PART_ID.validate_python(each) and len(each) < 20 for each, _ in parts)


def test_a_gpio_line_is_active_only_while_it_is_driven(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    request = SimpleNamespace(
        set_value=lambda line, value: done.append(f"{line} {value}"),
        release=lambda: done.append("released"),
    )

    def request_lines(chip: str, *, consumer: str, config: dict[int, str]) -> SimpleNamespace:
        done.append(f"{chip} {config}")
        return request

    gpiod = SimpleNamespace(
        LineSettings=lambda direction, output_value: f"{direction} {output_value}",
        line=SimpleNamespace(
            Direction=SimpleNamespace(OUTPUT="output"),
            Value=SimpleNamespace(ACTIVE="active", INACTIVE="inactive"),
        ),
        request_lines=request_lines,
    )
    monkeypatch.setitem(sys.modules, "gpiod", gpiod)
    output = open_output("gpio:///dev/gpiochip0/17", alternating=False)
    for on in (True, False, True):
        output.drive(on)
    output.close()
    assert done == [
        "/dev/gpiochip0 {17: 'output inactive'}", "17 active", "17 inactive", "17 active",
        "17 inactive", "released",
    ]  # fmt: skip


def test_an_output_rejects_before_it_is_driven_and_when_it_is_closed(tmp_path: Path) -> None:
    """A gate that was killed has left it open."""
    out = tmp_path / "out"
    out.write_text("1\n")
    output = open_output(f"file://{out}", alternating=False)
    assert out.read_text() == "0\n"
    output.drive(True)
    assert out.read_text() == "1\n"
    output.close()
    assert out.read_text() == "0\n"


def test_an_alternating_output_changes_with_every_look(tmp_path: Path) -> None:
    output = open_output(f"file://{tmp_path / 'out'}", alternating=True)
    levels = []
    for on in (True, True, True, False, False, True):
        output.drive(on)
        levels.append((tmp_path / "out").read_text().strip())
    assert levels == ["1", "0", "1", "0", "0", "1"]
    output.close()


GATE = {
    "station": {"site": "a", "line": "b", "name": "c"},
    "sensor": "fifo:///tmp/parts",
    "output": {"uri": "gpio:///dev/gpiochip0/17", "signal": "alternating"},
    "travel": {"delay_ms": 850.0, "window_ms": 120.0},
    "in_view_ms": 100.0,
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"travel": {"delay_ms": 850.0}}, "give delay_ms and window_ms, or encoder"),
        ({"travel": {"delay_ms": 100.0, "window_ms": 100.0}}, "shorter than the delay"),
        (
            {"travel": {"delay_ms": 9.0, "window_ms": 1.0, "delay_counts": 3}},
            "give delay_ms and window_ms, or encoder",
        ),
        ({"output": {"uri": "relay", "signal": "level"}}, "output.uri"),
        # what stays on when the gate is killed was what nobody had chosen
        ({"output": {"uri": "file:///tmp/out"}}, "output.signal is missing: alternating"),
        ({"sensor": "button"}, "sensor"),
        ({"endpoints": {"verdicts": "5556"}}, "expected tcp://HOST:PORT"),
        ({"in_view_ms": 0.0}, "in_view_ms"),
        ({"in_view_ms": float("inf")}, "in_view_ms"),
        ({"travel": {"delay_ms": 850.0, "window_ms": float("inf")}}, "travel.window_ms"),
        ({"speed": 1}, "unknown key speed"),
    ],
)
def test_a_wrong_gate_file_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = tmp_path / "gate.yaml"
    path.write_text(yaml.safe_dump(GATE))
    assert load_gate(path).travel.distance == 850_000_000
    assert load_gate(path).accept_simulated is False
    path.write_text(yaml.safe_dump({**GATE, **change}))
    with pytest.raises(InputError, match=message):
        load_gate(path)
