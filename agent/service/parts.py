"""Parts on their way to a verdict."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """A part to be answered.

    begun_ns: monotonic; when it was triggered, in free run when it was captured.
    """

    part_id: str
    begun_ns: int
    deadline_ms: float | None

    def is_late(self, now_ns: int) -> bool:
        """Whether an answer now would be of no use."""
        return self.deadline_ns is not None and now_ns > self.deadline_ns

    @property
    def deadline_ns(self) -> int | None:
        """When an answer must be there, monotonic; None for no such time."""
        return None if self.deadline_ms is None else self.begun_ns + int(self.deadline_ms * 1e6)


class OpenParts:
    """Parts without a verdict, oldest first.

    Each goes to camera and worker under a token of its own: a part id may return on the line
    before the camera has answered its former trigger, and that frame shows another part.
    """

    def __init__(self) -> None:
        self._parts: dict[str, Part] = {}
        self._next_token = 0

    def __len__(self) -> int:
        return len(self._parts)

    def holds(self, part_id: str) -> bool:
        """Whether a part of this id is open."""
        return any(part.part_id == part_id for part in self._parts.values())

    def holds_token(self, token: str) -> bool:
        """Whether the part of this token is open."""
        return token in self._parts

    def new_token(self) -> str:
        """A name for the camera to give back with the frame; never the same twice."""
        self._next_token += 1
        return str(self._next_token)

    def add(self, token: str, part: Part) -> None:
        """Await the answer to a token."""
        self._parts[token] = part

    def take(self, token: str) -> Part | None:
        """The part that a frame belongs to, open no more; None when it has been answered."""
        return self._parts.pop(token, None)

    @property
    def next_deadline_ns(self) -> int | None:
        """The earliest of all deadlines, monotonic; None when there is none."""
        deadlines = [each.deadline_ns for each in self._parts.values()]
        return min((ns for ns in deadlines if ns is not None), default=None)

    def take_late(self, now_ns: int) -> list[tuple[str, Part]]:
        """All whose deadline has passed, with their tokens, open no more."""
        late = [token for token, part in self._parts.items() if part.is_late(now_ns)]
        return [(token, self._parts.pop(token)) for token in late]

    def take_all(self) -> list[tuple[str, Part]]:
        """All with their tokens, open no more."""
        parts = list(self._parts.items())
        self._parts.clear()
        return parts
