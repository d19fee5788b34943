"""A part passes on a PASS of its own that came before it was at the gate; all else is rejected."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from agent.gate import Belt
from agent.gate.belt import FASTEST_S, STILL_S, STILL_STEPS

# A part entered at 0 is at the gate from 90 to 110.
TRAVEL, WINDOW = 100, 20


@pytest.fixture
def belt() -> Belt:
    return Belt(TRAVEL, WINDOW, counted=False)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The time that the belt sees, in seconds."""
    now = SimpleNamespace(s=0.0)
    monkeypatch.setattr("agent.gate.belt.time.monotonic", lambda: now.s)
    monkeypatch.setattr("agent.gate.belt.time.monotonic_ns", lambda: int(now.s * 1e9))
    return now


def test_a_part_with_a_pass_is_let_through_while_it_is_at_the_gate(belt: Belt) -> None:
    belt.enter("A", 0)
    belt.allow("A", 50)
    open_at = [position for position in range(60, 130) if belt.may_pass(position)]
    assert open_at == list(range(90, 111))
    assert belt.counts.passed == 1


def test_an_empty_gate_rejects(belt: Belt) -> None:
    assert not belt.may_pass(0)


@pytest.mark.parametrize(
    "what",
    [
        # silence
        lambda belt: None,
        # a PASS of another part
        lambda belt: belt.allow("B", 50),
        # a PASS that comes when the part is at the gate
        lambda belt: belt.allow("A", 90),
        # REJECT or NO_DECISION, also after a PASS, also before one
        lambda belt: belt.refuse("A"),
        lambda belt: (belt.allow("A", 50), belt.refuse("A")),
        lambda belt: (belt.refuse("A"), belt.allow("A", 50)),
        # the station fell silent after its PASS
        lambda belt: (belt.allow("A", 50), belt.refuse_all()),
        # the same id twice: whose PASS is it?
        lambda belt: (belt.enter("A", 10), belt.allow("A", 50)),
    ],
)
def test_everything_else_is_rejected(belt: Belt, what) -> None:
    belt.enter("A", 0)
    what(belt)
    assert not any(belt.may_pass(position) for position in range(60, 130))
    assert belt.counts.passed == 0


def test_of_two_parts_at_the_gate_both_must_pass(belt: Belt) -> None:
    belt.enter("A", 0)
    belt.enter("B", 10)
    belt.allow("A", 50)
    assert [belt.may_pass(position) for position in (95, 105, 115)] == [True, False, False]
    assert (belt.counts.passed, belt.counts.rejected) == (1, 0)
    assert not belt.may_pass(121)
    assert belt.counts.rejected == 1


@pytest.mark.parametrize(
    ("was", "read"),
    [
        # set anew while parts were on their way: B, which is rejected, would be where A is due
        (60, 10),
        (10, 60),
        (50, 5_000_000),
    ],
)
def test_an_encoder_that_jumps_rejects_all_that_is_on_the_belt(
    clock: SimpleNamespace, was: int, read: int
) -> None:
    belt = Belt(TRAVEL, WINDOW, counted=True)
    belt.enter("A", 0)
    belt.allow("A", 0)
    belt._position = was
    belt.enter("B", read)
    assert not any(belt.may_pass(position) for position in range(read, read + 120))
    assert (belt.counts.passed, belt.counts.rejected) == (0, 2)


def test_an_encoder_that_was_not_looked_at_for_a_while_may_have_moved_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = SimpleNamespace(s=0.0)
    monkeypatch.setattr("agent.gate.belt.time.monotonic", lambda: now.s)
    belt = Belt(TRAVEL, WINDOW, counted=True)
    belt.enter("A", 0)
    belt.allow("A", 5)
    now.s += 10 * FASTEST_S
    assert belt.may_pass(95)


def test_a_count_that_was_read_soon_after_the_look_before_does_not_jump(
    clock: SimpleNamespace,
) -> None:
    """What it has moved on since is the way of two looks: every part on the belt was rejected."""
    belt = Belt(TRAVEL, WINDOW, counted=True)
    belt.enter("A", 0)
    belt.allow("A", 0)
    for position in (0, WINDOW, *range(WINDOW, TRAVEL + 1)):
        clock.s += FASTEST_S
        belt.move(position)
    assert belt.may_pass(TRAVEL)


def test_a_belt_that_runs_back_a_little_as_it_stops_has_not_jumped(clock: SimpleNamespace) -> None:
    belt = Belt(TRAVEL, WINDOW, counted=True)
    belt.enter("A", 0)
    belt.allow("A", 0)
    for position in (*range(1, 51), 49, *range(50, TRAVEL + 1)):
        clock.s += 0.001
        belt.move(position)
    assert belt.may_pass(TRAVEL)


def test_an_encoder_that_is_set_forward_when_the_belt_begins_to_run_has_jumped(
    clock: SimpleNamespace,
) -> None:
    """How long it has stood before says nothing of how far it can come now."""
    belt = Belt(10_000, WINDOW, counted=True)
    belt.enter("A", 0)
    belt.allow("A", 0)
    clock.s += 60.0
    belt.move(0)
    for position in (1, 9_990):
        clock.s += 0.001
        belt.move(position)
    assert not belt.may_pass(9_995)


def test_an_encoder_that_is_read_in_steps_does_not_jump(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bridge to the PLC brings its count twenty times a second; the gate looks every 1 ms."""
    now = SimpleNamespace(s=0.0)
    monkeypatch.setattr("agent.gate.belt.time.monotonic", lambda: now.s)
    belt = Belt(TRAVEL, WINDOW, counted=True)
    for look in range(101):
        now.s = look / 1000
        belt.move(look // 50 * 50)
    belt.enter("A", 100)
    belt.allow("A", 100)
    for look in range(101, 201):
        now.s = look / 1000
        belt.may_pass(look // 50 * 50)
    assert belt.may_pass(200)


def test_an_encoder_that_is_set_forward_while_the_belt_stands_still_has_jumped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = SimpleNamespace(s=0.0)
    monkeypatch.setattr("agent.gate.belt.time.monotonic", lambda: now.s)
    belt = Belt(TRAVEL, WINDOW, counted=True)
    for look in range(51):
        now.s = look / 1000
        belt.move(look)
    belt.enter("A", 50)
    belt.allow("A", 50)
    for _ in range(1000):  # and stands
        now.s += 0.001
        belt.move(50)
    now.s += 0.001
    belt.move(90)
    assert not any(belt.may_pass(position) for position in range(91, 170))


def test_a_belt_of_whole_places_moves_by_one_at_a_time(clock: SimpleNamespace) -> None:
    belt = Belt(5, 1, counted=True)
    belt.enter("A", 0)
    belt.allow("A", 1)
    assert [belt.may_pass(position) for position in range(1, 7)] == [False] * 4 + [True, False]


def test_what_was_on_the_belt_when_its_encoder_was_set_anew_does_not_come_back(
    clock: SimpleNamespace,
) -> None:
    belt = Belt(TRAVEL, WINDOW, counted=True)
    belt.enter("A", 200)
    belt.move(0)
    belt.enter("A", 0)
    for position in range(1, 51):
        belt.move(position)
    assert belt.allow("A", 50) is None
    assert [belt.may_pass(position) for position in range(51, 101)][-1]


def test_a_belt_that_stands_still_or_runs_back_lets_nobody_else_through(belt: Belt) -> None:
    belt.enter("A", 0)
    belt.allow("A", 50)
    assert [belt.may_pass(position) for position in (100, 100, 85, 100, 111, 100)] == [
        True, True, False, True, False, False,
    ]  # fmt: skip


def test_a_part_id_may_return_once_its_part_has_left(belt: Belt) -> None:
    belt.enter("A", 0)
    belt.enter("A", 200)
    belt.allow("A", 250)
    assert belt.may_pass(300)


def test_an_encoder_that_dies_at_the_open_gate_closes_it(clock: SimpleNamespace) -> None:
    """Its cable was torn while a part with a PASS was there: the reject after it went through."""
    belt = Belt(TRAVEL, WINDOW, counted=True)

    def runs(counts: range) -> None:
        for count in counts:
            clock.s += 0.001
            belt.move(count)

    runs(range(1, 51))
    belt.enter("A", 50)
    belt.allow("A", 50)
    runs(range(51, 131))
    belt.enter("B", 130)
    belt.refuse("B")
    runs(range(131, 151))
    assert belt.may_pass(150)
    clock.s += 2 * STILL_S  # and B has come to where A was counted last
    assert not belt.may_pass(150)
    # It counts on from where it was: the belt had stopped, and A is there.
    clock.s += 0.001
    assert belt.may_pass(151)


def test_an_encoder_that_dies_soon_after_a_stop_closes_the_gate(clock: SimpleNamespace) -> None:
    """The pause of the stop is none between counts: the gate had stayed open four times as long."""
    belt = Belt(TRAVEL, WINDOW, counted=True)
    belt.enter("A", 0)
    belt.allow("A", 0)
    for position in range(1, TRAVEL):
        clock.s += 0.001
        belt.move(position)
    clock.s += 60.0  # and stops
    assert not belt.may_pass(TRAVEL - 1)
    assert belt.may_pass(TRAVEL)  # and runs again
    clock.s += 2 * STILL_S
    assert not belt.may_pass(TRAVEL)


def test_a_picture_shows_a_part_from_when_it_came_until_it_is_out_of_view(
    belt: Belt, clock: SimpleNamespace
) -> None:
    belt.enter("A", 0)
    clock.s += 0.25
    doubts = [belt.doubt("A", ago_ms, in_view_ms=100.0) for ago_ms in (251.0, 249.0, 151.0, 149.0)]
    assert [doubt is None for doubt in doubts] == [False, True, True, False]
    assert "before it had come" in str(doubts[0])
    assert "taken 101 ms after" in str(doubts[3]) and "in_view_ms is 100" in str(doubts[3])
    assert belt.doubt("B", 0.0, in_view_ms=100.0) is None  # it is not on the belt


def test_a_part_whose_edge_was_read_late_is_out_of_view_by_its_edge(
    belt: Belt, clock: SimpleNamespace
) -> None:
    """The gate was held up: by its reading alone a picture of the part behind looked in time."""
    clock.s = 0.05
    belt.enter("B", 50, since_ns=0)
    clock.s = 0.15
    assert "taken 140 ms after" in str(belt.doubt("B", 10.0, in_view_ms=100.0))
    assert belt.doubt("B", 51.0, in_view_ms=100.0) is None


def test_a_picture_that_was_taken_when_the_next_part_had_come_may_show_that(
    belt: Belt, clock: SimpleNamespace
) -> None:
    """The belt was faster than in_view_ms was set for, and the next part's PASS was this one's."""
    belt.enter("A", 0)
    clock.s = 0.2
    belt.enter("B", 50)
    clock.s = 0.25
    assert "the next part, B, had come" in str(belt.doubt("A", 49.0, in_view_ms=300.0))
    assert belt.doubt("A", 51.0, in_view_ms=300.0) is None
    assert belt.doubt("B", 49.0, in_view_ms=300.0) is None


def test_an_edge_of_the_same_part_is_no_next_part(belt: Belt, clock: SimpleNamespace) -> None:
    belt.enter("A", 0)
    clock.s = 0.09
    belt.enter("A trembles", 90)
    clock.s = 0.15
    assert belt.doubt("A", 10.0, in_view_ms=300.0) is None


def test_of_two_edges_that_were_read_late_the_second_may_be_the_next_part(
    belt: Belt, clock: SimpleNamespace
) -> None:
    clock.s = 0.13
    belt.enter("A", 130, since_ns=0)
    belt.enter("B", 130, since_ns=0)
    clock.s = 0.15
    assert "the next part, B" in str(belt.doubt("A", 10.0, in_view_ms=300.0))
    assert belt.doubt("B", 10.0, in_view_ms=300.0) is None


def test_a_part_that_was_read_late_closes_the_gate_from_when_it_may_be_there(
    clock: SimpleNamespace,
) -> None:
    """Both were read late, the rejected one later still: it was there in its neighbour's window."""
    belt = Belt(850_000_000, 120_000_000, counted=False)

    def at(ms: int) -> int:
        clock.s = ms / 1000
        return ms * 1_000_000

    belt.enter("A", at(80), since_ns=0)
    belt.allow("A", at(100))
    belt.enter("B", at(225), since_ns=130_000_000)
    belt.refuse("B")
    open_at = [ms for ms in range(700, 1200) if belt.may_pass(at(ms))]
    assert open_at == list(range(870, 920))  # B may be there from 130 + 850 - 60 on


@pytest.mark.parametrize("step", [1, 20])
def test_an_encoder_whose_count_is_late_closes_the_gate_when_the_part_behind_may_be_there(
    clock: SimpleNamespace, step: int
) -> None:
    """What wrote it was held up for 95 ms: the gate stayed open, and the reject went through."""
    belt = Belt(850, 120, counted=True)
    open_at = []
    for ms in range(985):
        clock.s = ms / 1000
        count = min(ms, 890) // step * step
        if ms == 0:
            belt.enter("A", count)
            belt.allow("A", count)
        if ms == 130:
            belt.enter("B", 130)
            belt.refuse("B")
        if belt.may_pass(count):
            open_at.append(ms)
    # The window of A, and what is left until that of B.
    assert open_at[0] in range(790, 790 + step)
    assert open_at[-1] in range(900, 921)


def test_a_count_that_is_late_as_the_belt_runs_again_closes_the_gate_as_well(
    clock: SimpleNamespace,
) -> None:
    """The standstill before is not how slowly it runs."""
    belt = Belt(TRAVEL, WINDOW, counted=True)
    belt.enter("A", 0)
    for part, passes_by in (("A", range(1, 31)), ("B", range(31, 91))):
        for position in passes_by:
            clock.s += 0.001
            belt.move(position)
        if part == "A":
            belt.allow("A", 30)
            belt.enter("B", 30)
            belt.refuse("B")
    clock.s += 60.0
    for position in range(91, 96):
        clock.s += 0.001
        assert belt.may_pass(position)
    clock.s += 0.024
    assert belt.may_pass(95)
    clock.s += 0.002
    assert not belt.may_pass(95)


def test_a_count_that_is_late_after_a_jump_closes_the_gate_as_well(
    clock: SimpleNamespace,
) -> None:
    """The way back to nought is not how slowly it runs."""
    belt = Belt(60, WINDOW, counted=True)
    belt.move(1000)
    belt.move(1001)
    open_at = []
    for ms in range(100):
        clock.s += 0.001
        count = min(ms, 70)
        if ms == 1:
            belt.enter("A", count)
            belt.allow("A", count)
        if ms == 31:
            belt.enter("B", count)
            belt.refuse("B")
        if belt.may_pass(count):
            open_at.append(ms)
    assert open_at == list(range(51, 81))


def test_a_sensor_that_dates_by_another_clock_brings_no_part_later(
    belt: Belt, clock: SimpleNamespace
) -> None:
    belt.enter("A", 0)
    belt.allow("A", 0)
    belt.enter("B", 15, since_ns=10**18)
    belt.refuse("B")
    assert [belt.may_pass(position) for position in (90, 104, 105)] == [True, True, False]
    assert "before it had come" in str(belt.doubt("B", 1.0, in_view_ms=100.0))


def test_a_pass_that_does_not_count_is_told_why(belt: Belt) -> None:
    belt.enter("A", 0)
    assert belt.allow("A", 50) is None
    assert "at the gate already, or not on the belt" in str(belt.allow("A", 95))
    assert "at the gate already, or not on the belt" in str(belt.allow("B", 95))
    belt.enter("C", 95)
    belt.refuse_all()
    assert "is refused" in str(belt.allow("C", 96))


def test_a_slow_belt_with_a_coarse_encoder_does_not_stand_still(clock: SimpleNamespace) -> None:
    belt = Belt(5, 1, counted=True)
    for place in range(4):
        clock.s += 3 * STILL_S
        belt.move(place)
    belt.enter("A", 3)
    belt.allow("A", 3)
    for place in range(4, 9):
        clock.s += 3 * STILL_S
        belt.move(place)
    clock.s += 2 * STILL_S
    assert belt.may_pass(8)
    clock.s += 3 * STILL_STEPS * STILL_S  # now it does
    assert not belt.may_pass(8)


def test_an_encoder_that_stops_counting_takes_back_every_pass(clock: SimpleNamespace) -> None:
    """Its cable is torn while nothing is at the gate: where the next part comes is unknown."""
    belt = Belt(TRAVEL, WINDOW, counted=True)
    belt.enter("A", 0)
    belt.allow("A", 0)
    for position in range(10, 100, 10):
        clock.s += 0.01
        belt.move(position)
    clock.s = 1.0
    belt.enter("B", 95)  # the last that was counted
    belt.allow("B", 95)
    assert belt.may_pass(95)
    clock.s += 0.05
    belt.enter("B again", 95)  # an edge of the same part
    assert belt.may_pass(95)
    clock.s += 1.0
    belt.enter("C", 95)
    belt.allow("C", 95)  # the last that came cannot be trusted either
    for position in range(100, 230, 10):
        clock.s += 0.01
        assert not belt.may_pass(position)
    assert belt.counts.passed == 0 and belt.counts.rejected == 4


class Line:
    """A belt of one count a millisecond, whose encoder sees only what it is connected for."""

    def __init__(self, clock: SimpleNamespace) -> None:
        self.clock = clock
        self.belt = Belt(1000, 120, counted=True)
        self.ran_ms = self.counted = 0
        self.entered_at: dict[str, int] = {}

    def run(self, ms: int, *, connected: bool = True) -> list[str]:
        """The parts that were let through: the gate was open when they were in its middle."""
        through = []
        for _ in range(ms):
            self.clock.s += 0.001
            self.ran_ms += 1
            self.counted += connected
            if self.belt.may_pass(self.counted):
                through += [
                    part for part, at in self.entered_at.items() if self.ran_ms - at == 1000
                ]
        return through

    def stand(self, ms: int) -> None:
        for _ in range(ms):
            self.clock.s += 0.001
            self.belt.may_pass(self.counted)

    def enter(self, part_id: str, *, passes: bool = True) -> None:
        self.belt.enter(part_id, self.counted)
        self.entered_at[part_id] = self.ran_ms
        if passes:
            self.belt.allow(part_id, self.counted)
        else:
            self.belt.refuse(part_id)


def test_an_encoder_that_is_out_for_a_moment_takes_back_what_was_on_the_belt(
    clock: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    """A loose cable while the belt ran on: from then on each PASS was there for the part behind."""
    line = Line(clock)
    line.enter("A")
    line.run(300)
    line.enter("B", passes=False)
    line.run(300)
    line.enter("C")
    line.run(50)
    line.run(250, connected=False)
    line.enter("D")  # brought by a belt that, by its encoder, stands
    line.run(50, connected=False)
    through = line.run(250)
    line.enter("E")
    through += line.run(1100)
    assert through == ["E"]
    (told,) = caplog.messages
    assert "comes while the encoder stands still" in told and "part D at 650" in told


def test_a_part_that_is_put_before_the_sensor_of_a_belt_that_stands_stops_no_later_part(
    clock: SimpleNamespace,
) -> None:
    """What is on the belt is rejected: whether the belt has brought it cannot be known."""
    line = Line(clock)
    line.run(1)
    line.enter("A")
    line.run(300)
    line.stand(5000)
    for edge in range(5):  # it trembles there as well
        line.enter(f"hand {edge}")
        line.stand(500)
    line.run(300)
    line.enter("B")
    assert line.run(1100) == ["B"]


def test_a_belt_that_stops_and_runs_again_keeps_what_was_said(
    clock: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    """A gate that rejects after every stop is a gate that is switched off."""
    line = Line(clock)
    line.run(1)
    line.enter("A")
    line.run(300)
    line.enter("B")
    for _ in range(3):
        line.stand(5000)
        line.run(100)
    assert line.run(1000) == ["A", "B"]
    assert not caplog.messages


def test_a_code_that_is_read_again_takes_back_the_pass_of_its_own_part_alone(
    clock: SimpleNamespace,
) -> None:
    """Its reader looks on while the belt stands: every part on the belt had lost its PASS."""
    belt = Belt(TRAVEL, WINDOW, counted=True)
    belt.enter("A", 0)
    for position in range(1, 51):
        clock.s += 0.001
        belt.move(position)
    belt.enter("B", 50)
    for part in "AB":
        belt.allow(part, 50)
    clock.s += 1.0
    belt.enter("B", 50)
    open_at = []
    for position in range(51, 171):
        clock.s += 0.001
        if belt.may_pass(position):
            open_at.append(position)
    assert open_at == list(range(90, 111))


def test_an_encoder_that_jumps_is_told_with_its_counts(
    clock: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    """One of 16 bits began anew once a minute, and parts were rejected as if by chance."""
    belt = Belt(TRAVEL, WINDOW, counted=True)
    belt.enter("A", 65_530)
    belt.move(3)
    (told,) = caplog.messages
    assert "the encoder jumps" in told and "from 65530 to 3" in told


def test_an_encoder_that_counts_backwards_is_told_with_its_counts(
    clock: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    """Its two wires were exchanged: no part ever came to the gate, and nothing was said."""
    belt = Belt(TRAVEL, WINDOW, counted=True)
    belt.enter("A", 500)
    for position in range(499, 459, -1):
        clock.s += 0.001
        belt.move(position)
    belt.enter("B", 460)
    (told,) = caplog.messages
    assert "the encoder counts backwards" in told and "460 after 500" in told


def test_an_encoder_that_stands_for_days_fills_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.gate.belt.MOST_PARTS", 50)
    belt = Belt(TRAVEL, WINDOW, counted=True)
    for number in range(130):
        belt.enter(str(number), 0)
    assert len(belt._parts) <= 50 and belt.counts.rejected >= 80
