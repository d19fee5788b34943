"""A part passes on a PASS of its own that came before it was at the gate; all else is rejected."""

from __future__ import annotations

import pytest

from agent.gate import Belt

# A part entered at 0 is at the gate from 90 to 110.
TRAVEL, WINDOW = 100, 20


@pytest.fixture
def belt() -> Belt:
    return Belt(TRAVEL, WINDOW)


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
        # the encoder jumped
        lambda belt: (belt.allow("A", 50), belt.move(5_000_000), belt.move(50)),
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
