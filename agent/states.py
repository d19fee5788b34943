"""The states of a station, named as OPC 40100-1 (OPC UA for Machine Vision) names them."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum


class State(str, Enum):
    """What the station does now."""

    PREOPERATIONAL = "Preoperational"
    """Starting: model, camera and sockets are not there yet."""
    INITIALIZED = "Initialized"
    """All is there, and the station is stopped: triggers are answered NOT_READY."""
    READY = "Ready"
    """Waiting for a trigger."""
    SINGLE_EXECUTION = "SingleExecution"
    """Triggered parts are being inspected."""
    CONTINUOUS_EXECUTION = "ContinuousExecution"
    """Free run: every newest frame is inspected."""
    ERROR = "Error"
    """Nothing is decided: camera or journal are lost, which ends by itself, or three verdicts in a
    row were late, which ends with `start`."""
    HALTED = "Halted"
    """Ended."""


TRANSITIONS: dict[State, frozenset[State]] = {
    State.PREOPERATIONAL: frozenset({State.INITIALIZED, State.HALTED}),
    State.INITIALIZED: frozenset({State.READY, State.ERROR, State.HALTED}),
    State.READY: frozenset(
        {
            State.INITIALIZED,
            State.SINGLE_EXECUTION,
            State.CONTINUOUS_EXECUTION,
            State.ERROR,
            State.HALTED,
        }
    ),
    State.SINGLE_EXECUTION: frozenset({State.READY, State.ERROR, State.HALTED}),
    State.CONTINUOUS_EXECUTION: frozenset({State.READY, State.ERROR, State.HALTED}),
    State.ERROR: frozenset({State.INITIALIZED, State.HALTED}),
    State.HALTED: frozenset(),
}


class IllegalTransition(Exception):
    """The station was asked to change its state in a way that the table does not hold."""


class StateMachine:
    """The current state; every change is checked against the table and told to a listener."""

    def __init__(self, on_change: Callable[[State, State, str], None]) -> None:
        """Start Preoperational; `on_change` gets the previous state, the new one and its cause."""
        self._state = State.PREOPERATIONAL
        self._on_change = on_change

    @property
    def state(self) -> State:
        """The current state."""
        return self._state

    def to(self, state: State, cause: str) -> None:
        """Change the state.

        Raises:
            IllegalTransition: the table does not hold this change.
        """
        if state not in TRANSITIONS[self._state]:
            raise IllegalTransition(f"{self._state.value} to {state.value} ({cause})")
        previous, self._state = self._state, state
        self._on_change(previous, state, cause)
