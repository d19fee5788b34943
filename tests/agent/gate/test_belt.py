"""A part passes on a PASS of its own that came before it was at the gate; all else is rejected."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from agent.gate import Belt
from agent.gate.belt import FASTEST_S

# A part entered at 0 is at the gate from 90 to 110.
TRAVEL, WINDOW = 100, 20


@pytest.fixture
def belt() -> Belt:
    return Belt(TRAVEL, WINDOW, counted=False)


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
def test_an_encoder_that_jumps_rejects_all_that_is_on_the_belt(was: int, read: int) -> None:
    belt = Belt(TRAVEL, WINDOW, counted=True)
    belt.enter("A", 0)
    belt.allow("A", 0)
    belt._position = was
    belt.enter("B", read)
    assert not any(belt.may_pass(position) for position in range(read, read + 60))
    assert belt.counts.passed == 0


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


def test_the_answer_to_a_part_that_has_left_is_not_that_of_the_next_one_of_its_id(
    belt: Belt,
) -> None:
    belt.enter("A", 0)
    belt.move(200)
    belt.enter("A", 200)
    belt.allow("A", 250)
    assert not belt.may_pass(300)
    assert belt.counts.late == 1
    belt.allow("A", 301)  # the second one's own, too late
    belt.move(400)
    belt.enter("A", 400)
    belt.allow("A", 450)
    assert belt.may_pass(500)


def test_an_answer_to_a_part_that_never_was_here_is_not_counted_as_late(belt: Belt) -> None:
    belt.allow("Z", 50)
    assert belt.counts.late == 0


def test_no_more_unanswered_parts_are_remembered_than_there_is_room_for(
    belt: Belt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.gate.belt.UNANSWERED", 2)
    for index in range(5):
        belt.enter(f"{index}", 200 * index)
        belt.move(200 * index + 150)
    assert list(belt._unanswered) == ["3", "4"]


def test_a_belt_that_stands_still_or_runs_back_lets_nobody_else_through(belt: Belt) -> None:
    belt.enter("A", 0)
    belt.allow("A", 50)
    assert [belt.may_pass(position) for position in (100, 100, 85, 100, 111, 100)] == [
        True, True, False, True, False, False,
    ]  # fmt: skip


def test_a_part_id_may_return_once_its_part_has_left(belt: Belt) -> None:
    belt.enter("A", 0)
    belt.refuse("A")
    belt.enter("A", 200)
    belt.allow("A", 250)
    assert belt.may_pass(300)
