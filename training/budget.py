"""How long to train."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """How long to train: a number of steps (repeatable exactly) or of seconds (on time)."""

    steps: int | None = None
    seconds: float | None = None

    def progress(self, step: int, elapsed_s: float) -> float:
        """Share of the budget that is used, 0 .. 1 and above."""
        if self.steps is not None:
            return step / self.steps
        assert self.seconds is not None
        return elapsed_s / self.seconds

    @property
    def in_words(self) -> str:
        """For people."""
        if self.steps is not None:
            return f"{self.steps} steps"
        assert self.seconds is not None
        if self.seconds < 60:
            return f"{self.seconds:g} seconds"
        return f"{round(self.seconds / 60, 1):g} minutes"

    def __str__(self) -> str:
        """As it is given on the command line."""
        if self.steps is not None:
            return f"--steps {self.steps}"
        return f"--time-budget {self.seconds:.9g}s"
