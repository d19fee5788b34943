"""How fast an encoder counts."""

from __future__ import annotations

from collections import deque

# A count that is brought in steps is brought so often at least.
STEPS_S = 0.1


class Speed:
    """Counts a second over the last moves: all of STEPS_S, so that a count in steps has one."""

    def __init__(self) -> None:
        self.per_s = 0.0
        self._moves: deque[tuple[float, int]] = deque()

    def moved(self, now_s: float, position: int) -> None:
        """The encoder has counted."""
        self._moves.append((now_s, position))
        while len(self._moves) > 2 and now_s - self._moves[1][0] >= STEPS_S:
            self._moves.popleft()
        began_s, began = self._moves[0]
        if now_s > began_s:
            self.per_s = max(0.0, (position - began) / (now_s - began_s))

    def begin_anew(self) -> None:
        """The belt has stood: the pause says nothing of how fast it runs. It runs as it did."""
        self._moves.clear()
