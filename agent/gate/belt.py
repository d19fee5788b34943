"""The belt between the place where a part is seen and the gate that lets it through or not."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from itertools import dropwhile

from agent.gate.speed import STEPS_S, Speed
from agent.trouble import Trouble

# A belt that moves on by half a window in less time, or back by as much, has not moved: its
# encoder was set anew, or lost.
FASTEST_S = 0.005
# An encoder that has not counted for so long, and for so many times as long as between its last
# counts, stands still.
STILL_S, STILL_STEPS = 0.1, 4
# Edges of one part at the sensor are closer than this; two parts are not.
BOUNCE_NS = 100_000_000
# More than a belt holds: its encoder stands, and nothing leaves it.
MOST_PARTS = 10_000


@dataclass
class _Part:
    """due: where the belt stands when the part is at the gate; refused outranks passed.

    It came to the sensor between since_ns and entered_ns, so it may be due from due_from on.
    """

    part_id: str
    due: int
    due_from: float
    since_ns: int
    entered_ns: int
    passed: bool = False
    refused: bool = False


@dataclass
class Counts:
    """What became of parts and verdicts."""

    passed: int = 0
    rejected: int = 0


class Belt:
    """Parts on their way. Its position is a number that grows: nanoseconds, or encoder counts.

    A part is at the gate while the position is within half a window of where it is due. Whatever
    is doubtful is refused: a part while another one may be at the gate as well, unless both may
    pass; a part id that is on the belt twice; all that is on the belt when its position jumps, or
    when a part comes while the encoder stands still or where another one has come: the belt has
    brought it, unseen by the encoder, and how far it has moved is unknown. Nothing passes while
    the encoder stands still: the belt does as well, or what is at the gate is unknown. Until that
    is known the belt may have gone on from its last count, as fast as it came there.
    """

    def __init__(self, travel: int, window: int, *, counted: bool) -> None:
        """Of the same unit: the way from where a part enters to the gate, and the gate's width.

        counted: the position is an encoder's, which can jump, and not the time.
        """
        self._travel = travel
        self._half = window // 2
        self._counted = counted
        self._parts: list[_Part] = []
        self._position: int | None = None
        # When it was looked at last and before that, and when it moved last.
        self._seen_s = self._seen_before_s = self._moved_s = time.monotonic()
        # Between its last two moves, and before each of these.
        self._step_s = 0.0
        self._pauses_s: deque[float] = deque((0.0, 0.0), maxlen=2)
        self._speed = Speed()
        self._jumped = Trouble(
            "the encoder jumps (set anew, or begun again after its highest count?), and all that "
            "is on the belt is rejected"
        )
        self._unseen = Trouble(
            "a part comes while the encoder stands still (a loose cable?), and all that is on the "
            "belt is rejected"
        )
        self._backwards = Trouble("the encoder counts backwards, and no part comes to the gate")
        self.counts = Counts()

    def enter(self, part_id: str, position: int, since_ns: int | None = None) -> None:
        """A part begins its way.

        since_ns: on the monotonic clock; it has not come before this. Without it, it comes now.
        """
        self.move(position)
        entered_ns = time.monotonic_ns()
        since_ns = entered_ns if since_ns is None else min(since_ns, entered_ns)
        due = position + self._travel
        read_late = self._way_in(entered_ns - since_ns)
        part = _Part(part_id, due, due - read_late, since_ns, entered_ns)
        for other in self._parts:
            if other.part_id == part_id:
                other.refused = part.refused = True
        last = self._parts[-1] if self._parts else part
        if self._counted and last.due - part.due > self._half:
            self._backwards.came(f"{position} after {last.due - self._travel}")
        was_unseen = self._counted and self._came_unseen(part)
        self._parts.append(part)
        if was_unseen:
            self.refuse_all()
            self._unseen.came(f"part {part_id} at {position}")
        if len(self._parts) > MOST_PARTS:
            self.counts.rejected += len(self._parts)
            self._parts.clear()

    def doubt(self, part_id: str, ago_ms: float, in_view_ms: float) -> str | None:
        """Why a picture that was taken so long ago, or before, may show another part.

        None when it shows this one, or this one is not on the belt.
        """
        taken_ns = time.monotonic_ns() - ago_ms * 1e6
        from_it_on = list(dropwhile(lambda part: part.part_id != part_id, self._parts))
        if not from_it_on:
            return None
        part = from_it_on[0]
        if taken_ns < part.entered_ns:
            return "its picture was taken before it had come to the sensor"
        after_ms = (taken_ns - part.since_ns) / 1e6
        if after_ms > in_view_ms:
            return (
                f"its picture may have been taken {after_ms:.0f} ms after it had come to the "
                f"sensor, in_view_ms is {in_view_ms:g}"
            )
        for other in from_it_on:
            is_bounce = other.entered_ns - part.since_ns <= BOUNCE_NS
            if other.part_id != part_id and not is_bounce and other.since_ns < taken_ns:
                return (
                    f"its picture may have been taken after the next part, {other.part_id}, had "
                    "come to the sensor"
                )
        return None

    def allow(self, part_id: str, position: int) -> str | None:
        """A PASS, which counts when the part is not at the gate yet; why it does not count."""
        self.move(position)
        on_belt = [part for part in self._parts if part.part_id == part_id]
        in_time = [part for part in on_belt if position < part.due - self._half]
        for part in in_time:
            part.passed = True
        if not in_time:
            return "it is at the gate already, or not on the belt"
        if any(part.refused for part in in_time):
            return "it is refused: its id is on the belt twice, or what was said is taken back"
        return None

    def refuse(self, part_id: str) -> None:
        """Anything but a PASS; no PASS after it counts."""
        for part in self._parts:
            if part.part_id == part_id:
                part.refused = True

    def refuse_all(self) -> None:
        """What is on the belt cannot be trusted any more."""
        for part in self._parts:
            part.refused = True

    def may_pass(self, position: int) -> bool:
        """Whether the gate lets through what is there at this position of the belt."""
        self.move(position)
        if self._stands_still():
            return False
        # Its count opens the gate; whoever may be there by the way since then shuts it.
        reach: float = position + self._half
        if self._counted:
            reach += self._way_in((time.monotonic() - self._moved_s) * 1e9)
        near = [p for p in self._parts if position - self._half <= p.due and p.due_from <= reach]
        is_any_there = any(part.due <= position + self._half for part in near)
        return is_any_there and all(part.passed and not part.refused for part in near)

    def move(self, position: int) -> None:
        """Take in where the belt stands; parts behind the gate are forgotten."""
        now_s = time.monotonic()
        if self._position is not None and position != self._position:
            if self._jumps(position - self._position, now_s):
                # Where they are nobody knows; what comes to the gate unknown is rejected.
                self._jumped.came(f"from {self._position} to {position}")
                self.counts.rejected += len(self._parts)
                self._parts.clear()
                self._speed.begin_anew()
            elif self._stands_still():
                self._speed.begin_anew()
            self._speed.moved(now_s, position)
            self._pauses_s.append(now_s - self._moved_s)
            self._moved_s, self._step_s = now_s, min(now_s - self._moved_s, STEPS_S)
        self._position = position
        self._seen_before_s, self._seen_s = self._seen_s, now_s
        behind = [part for part in self._parts if position > part.due + self._half]
        for part in behind:
            self._parts.remove(part)
            if part.passed and not part.refused:
                self.counts.passed += 1
            else:
                self.counts.rejected += 1

    def _way_in(self, ns: float) -> float:
        """How far the belt goes meanwhile: nanoseconds, or counts."""
        return ns / 1e9 * self._speed.per_s if self._counted else ns

    def _came_unseen(self, part: _Part) -> bool:
        """Whether the belt has brought a part and the encoder has not counted."""
        is_read_again = bool(self._parts) and self._parts[-1].part_id == part.part_id
        return (self._stands_still() and not is_read_again) or any(
            other.part_id != part.part_id
            and other.due == part.due
            and part.entered_ns - other.entered_ns > BOUNCE_NS
            for other in self._parts
        )

    def _stands_still(self) -> bool:
        """Whether the encoder has not counted for longer than it takes between two counts."""
        if not self._counted:
            return False
        # A belt that has stood and runs again has one long pause, and a slow one two.
        longest_s = max(STILL_S, STILL_STEPS * min(self._pauses_s))
        return time.monotonic() - self._moved_s > longest_s

    def _jumps(self, way: int, now_s: float) -> bool:
        if not self._counted:
            return False
        # What was read at the last look was read after the look before it. A count that comes in
        # steps makes the way of a whole step at once; one that has stood still does not.
        within_s = max(now_s - self._seen_before_s, 2 * self._step_s)
        step = max(1, self._half)
        return not -step <= way <= min(step * max(1.0, within_s / FASTEST_S), self._travel)
