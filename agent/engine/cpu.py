"""What the processor offers to an engine."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from pathlib import Path, PurePosixPath

SYSFS = Path("/sys")
CPUINFO = Path("/proc/cpuinfo")
CGROUP = Path("/proc/self/cgroup")
# How many of the efficient cores of Intel's hybrid processors do as much INT8 as one of the others,
# by OpenVINO's own reckoning.
EFFICIENT_TO_ONE = 4
# Instructions that multiply bytes and add the products in 32 bits, best first.
BYTE_PRODUCTS = {
    "amx_int8": "AMX",
    "avx512_vnni": "AVX-512 VNNI",
    "avx_vnni": "AVX VNNI",
    "i8mm": "Arm I8MM",
    "asimddp": "Arm dot product",
}


def physical_cores(sysfs: Path = SYSFS, cgroup: Path = CGROUP) -> int:
    """Number of physical cores that an engine gains from, of those that this process may run on.

    Two threads on one core share its vector units. Every layer is split evenly and waits for the
    slowest: efficient cores count only where the others are a small part of the processor. And
    threads beyond a limit on CPU time would use it up together, and then stand together.
    """
    allowed = os.sched_getaffinity(0)
    cores = _cores(allowed, sysfs)
    fast = _cores(allowed & _listed(sysfs / "devices/cpu_core/cpus"), sysfs)
    if EFFICIENT_TO_ONE * fast > cores - fast:
        cores = fast
    return max(1, int(min(cores, _time_limit(sysfs / "fs/cgroup", cgroup))))


def cpu_flags(cpuinfo: Path = CPUINFO) -> frozenset[str]:
    """Instruction sets by the kernel's names; empty where it names none."""
    return frozenset(_field(cpuinfo, ("flags", "Features")).split())


def cpu_name(cpuinfo: Path = CPUINFO) -> str:
    """The processor's own name."""
    return _field(cpuinfo, ("model name", "Model", "Hardware")) or "unknown"


def adds_bytes_exactly(flags: frozenset[str]) -> bool:
    """Whether sums of products of bytes cannot overflow with these instruction sets."""
    return not flags.isdisjoint(BYTE_PRODUCTS)


def int8_support(flags: frozenset[str]) -> str:
    """What INT8 models gain on a processor with these instruction sets.

    Without a dot product of bytes, x86 adds products in 16 bits, which overflow: INT8 is then
    little faster than fp32, and answers can differ from other machines'.
    """
    for flag, name in BYTE_PRODUCTS.items():
        if flag in flags:
            return f"fast, through {name}"
    widest = next((name for name in ("avx512bw", "avx2") if name in flags), "no wide integers")
    return f"slow: no dot product of bytes ({widest}); fp32 may be as fast and is exact"


def _cores(cpus: set[int], sysfs: Path) -> int:
    cores = set()
    for cpu in cpus:
        topology = sysfs / f"devices/system/cpu/cpu{cpu}/topology"
        try:
            siblings = (topology / "thread_siblings_list").read_text()
        except OSError:
            siblings = str(cpu)
        cores.add(siblings.strip())
    return len(cores)


def _listed(path: Path) -> set[int]:
    """CPUs of a list such as 0-3,8; none where there is no such file."""
    try:
        parts = path.read_text().strip().split(",")
    except OSError:
        return set()
    ranges = [part.partition("-") for part in parts if part]
    return {cpu for first, _, last in ranges for cpu in range(int(first), int(last or first) + 1)}


def _time_limit(groups: Path, cgroup: Path) -> float:
    """CPUs' worth of time that the control group of this process, and those above it, may use."""
    limit = math.inf
    with suppress(OSError):
        for line in cgroup.read_text().splitlines():
            if line.startswith("0::"):  # version 2
                own = PurePosixPath(line.removeprefix("0::"))
                for group in (own, *own.parents):
                    limit = min(limit, _cpu_max(groups / group.relative_to("/") / "cpu.max"))
    return limit


def _cpu_max(path: Path) -> float:
    with suppress(OSError):
        quota, period = path.read_text().split()
        return int(quota) / int(period) if quota != "max" else math.inf
    return math.inf


def _field(path: Path, names: tuple[str, ...]) -> str:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return ""
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() in names:
            return value.strip()
    return ""
