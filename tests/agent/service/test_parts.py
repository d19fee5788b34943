"""A part is late after its milliseconds, and the loop wakes up for the first that will be."""

from __future__ import annotations

import pytest

from agent.service.parts import OpenParts, Part

MS = 1_000_000
BEGUN_NS = 7 * MS


@pytest.mark.parametrize(
    ("deadline_ms", "after_ns", "late"),
    [(80.0, 80 * MS, False), (80.0, 80 * MS + 1, True), (None, 10**18, False)],
)
def test_a_part_is_late_when_its_milliseconds_are_over(
    deadline_ms: float | None, after_ns: int, late: bool
) -> None:
    assert Part("A", BEGUN_NS, deadline_ms).is_late(BEGUN_NS + after_ns) is late


def test_the_next_deadline_is_the_earliest_of_all() -> None:
    parts = OpenParts()
    assert parts.next_deadline_ns is None
    for part_id, deadline_ms in (("A", None), ("B", 500.0), ("C", 80.0), ("D", 900.0)):
        parts.add(parts.new_token(), Part(part_id, BEGUN_NS, deadline_ms))
    assert parts.next_deadline_ns == BEGUN_NS + 80 * MS
    assert [part.part_id for _, part in parts.take_late(BEGUN_NS + 501 * MS)] == ["B", "C"]
    assert parts.next_deadline_ns == BEGUN_NS + 900 * MS
