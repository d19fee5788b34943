"""Every change of state is in the table, and a change that is not cannot happen."""

from __future__ import annotations

from itertools import product

import pytest

from agent.states import TRANSITIONS, IllegalTransition, State, StateMachine

ROUTES = {
    State.PREOPERATIONAL: [],
    State.INITIALIZED: [State.INITIALIZED],
    State.READY: [State.INITIALIZED, State.READY],
    State.SINGLE_EXECUTION: [State.INITIALIZED, State.READY, State.SINGLE_EXECUTION],
    State.CONTINUOUS_EXECUTION: [State.INITIALIZED, State.READY, State.CONTINUOUS_EXECUTION],
    State.ERROR: [State.INITIALIZED, State.ERROR],
    State.HALTED: [State.HALTED],
}


@pytest.mark.parametrize(("start", "end"), list(product(State, State)))
def test_the_table_is_all_there_is(start: State, end: State) -> None:
    changes: list[tuple[State, State, str]] = []
    machine = StateMachine(lambda *change: changes.append(change))
    for state in ROUTES[start]:
        machine.to(state, "on the way")
    changes.clear()
    if end in TRANSITIONS[start]:
        machine.to(end, "asked")
        assert machine.state is end
        assert changes == [(start, end, "asked")]
    else:
        with pytest.raises(IllegalTransition, match=f"{start.value} to {end.value}"):
            machine.to(end, "asked")
        assert machine.state is start
        assert changes == []


def test_every_state_can_end_and_none_leaves_the_end() -> None:
    assert all(State.HALTED in TRANSITIONS[state] for state in State if state is not State.HALTED)
    assert not TRANSITIONS[State.HALTED]
