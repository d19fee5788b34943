"""What the processor offers to an engine."""

from __future__ import annotations

import os
from pathlib import Path

SYSFS = Path("/sys/devices/system/cpu")
CPUINFO = Path("/proc/cpuinfo")
# Instructions that multiply bytes and add the products in 32 bits, best first.
BYTE_PRODUCTS = {
    "amx_int8": "AMX",
    "avx512_vnni": "AVX-512 VNNI",
    "avx_vnni": "AVX VNNI",
    "i8mm": "Arm I8MM",
    "asimddp": "Arm dot product",
}


def physical_cores(sysfs: Path = SYSFS) -> int:
    """Number of physical cores that this process may run on.

    Two threads on one core share its vector units: an engine gains nothing from the second.
    """
    cores = set()
    for cpu in os.sched_getaffinity(0):
        try:
            siblings = (sysfs / f"cpu{cpu}/topology/thread_siblings_list").read_text()
        except OSError:
            siblings = str(cpu)
        cores.add(siblings.strip())
    return len(cores)


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
