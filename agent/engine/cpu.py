"""What the processor offers to an engine."""

from __future__ import annotations

import os
from pathlib import Path

SYSFS = Path("/sys/devices/system/cpu")


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
