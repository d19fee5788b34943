"""What the processor offers is read from the kernel."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.engine.cpu import adds_bytes_exactly, cpu_flags, cpu_name, int8_support, physical_cores


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n")


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
        write(tmp_path / f"devices/system/cpu/cpu{cpu}/topology/thread_siblings_list", text)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: allowed)
    assert physical_cores(tmp_path, tmp_path / "none") == expected


@pytest.mark.parametrize(
    ("fast", "allowed", "expected"),
    [("0-5", 14, 6), ("0,2-3", 14, 3), ("0-1", 10, 10), ("6-9", 6, 6)],
    ids=["six and eight", "over a quarter", "a quarter", "none is allowed"],
)
def test_slow_cores_beside_fast_ones_do_not_count(
    fast: str, allowed: int, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An even share of every layer waited for the slowest core, and capture had none left."""
    write(tmp_path / "devices/cpu_core/cpus", fast)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(allowed)))
    assert physical_cores(tmp_path, tmp_path / "none") == expected


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"": "max 100000", "line/box": "250000 100000"}, 2),
        ({"line": "300000 100000", "line/box": "max 100000"}, 3),
        ({"line/box": "50000 100000"}, 1),
        ({"line": "6400000 100000", "other": "100000 100000"}, 32),
        ({}, 32),
    ],
    ids=["its own", "of the group above", "less than one", "more than there are", "none"],
)
def test_a_limit_on_cpu_time_counts_as_so_many_cores(
    limits: dict[str, str], expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a container with two CPUs of a host's 32, so many threads used up its time in a moment."""
    for group, text in limits.items():
        write(tmp_path / "fs/cgroup" / group / "cpu.max", text)
    write(tmp_path / "cgroup", "0::/line/box")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(32)))
    assert physical_cores(tmp_path, tmp_path / "cgroup") == expected


X86 = """processor\t: 0
model name\t: Intel(R) Core(TM) i5-6500
flags\t\t: fpu sse2 avx2
processor\t: 1
flags\t\t: fpu sse2 avx2
"""
ARM = """processor\t: 0
Features\t: fp asimd asimddp
"""


@pytest.mark.parametrize(
    ("cpuinfo", "name", "int8"),
    [
        (X86, "Intel(R) Core(TM) i5-6500", "slow: no dot product of bytes (avx2)"),
        (X86.replace("avx2", "avx2 avx_vnni"), "Intel(R) Core(TM) i5-6500", "fast, through AVX V"),
        (ARM, "unknown", "fast, through Arm dot product"),
        ("", "unknown", "slow"),
    ],
    ids=["before VNNI", "with VNNI", "Arm", "nothing known"],
)
def test_int8_is_fast_only_with_a_dot_product_of_bytes(
    cpuinfo: str, name: str, int8: str, tmp_path: Path
) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text(cpuinfo)
    assert cpu_name(path) == name
    assert int8_support(cpu_flags(path)).startswith(int8)
    assert adds_bytes_exactly(cpu_flags(path)) == int8.startswith("fast")
