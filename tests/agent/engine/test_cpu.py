"""What the processor offers is read from the kernel."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.engine.cpu import adds_bytes_exactly, cpu_flags, cpu_name, int8_support, physical_cores


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
