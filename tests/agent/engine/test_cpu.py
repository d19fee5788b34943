"""Threads are counted in physical cores."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.engine.cpu import physical_cores


@pytest.mark.parametrize(
    ("allowed", "siblings", "expected"),
    [
        ({0, 1, 2, 3}, ["0,2", "1,3", "0,2", "1,3"], 2),
        ({0, 1, 2, 3}, ["0", "1", "2", "3"], 4),
        ({0, 2}, ["0,2", "1,3", "0,2", "1,3"], 1),
        ({0, 1}, [], 2),
    ],
    ids=["hyper-threads", "plain cores", "one core allowed", "topology unknown"],
)
def test_two_threads_of_one_core_count_once(
    allowed: set[int],
    siblings: list[str],
    expected: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for cpu, text in enumerate(siblings):
        (tmp_path / f"cpu{cpu}/topology").mkdir(parents=True)
        (tmp_path / f"cpu{cpu}/topology/thread_siblings_list").write_text(text + "\n")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: allowed)
    assert physical_cores(tmp_path) == expected
