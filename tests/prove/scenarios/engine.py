"""The engine of --station or the demo, started again, then asked without end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import agent.demo
from agent.config import load_station
from agent.demo.kit import BUNDLE
from agent.engine import installed_runtimes
from tests.prove.scenario import Check, Work

COUNT = 2000
DEMO = Path(agent.demo.__file__).parent / BUNDLE
MOST_MB, MOST_GROWTH_MB, MOST_START_S = 250.0, 2.0, 2.0
# Runs in a process of its own: nothing else is resident, and nothing is imported beforehand.
ASK = """
import json, sys, time
began = time.monotonic()
from pathlib import Path
from agent.bundle import open_bundle
from agent.engine import load_engine, self_test
def resident_mb():
    status = Path("/proc/self/status").read_text()
    return next(int(l.split()[1]) for l in status.splitlines() if l.startswith("VmRSS:")) / 1024
bundle = open_bundle(Path(sys.argv[1]))
engine = load_engine(bundle, runtime=sys.argv[2], precision="int8")
frames = bundle.golden().frames
engine.infer(frames[0])
start_s, start_cpu_s = time.monotonic() - began, time.process_time()
count = int(sys.argv[3])
for index in range(count):
    if index == count // 10:
        warm = resident_mb()
    engine.infer(frames[index % len(frames)])
print(json.dumps(dict(start_s=start_s, cpu_s=start_cpu_s, warm=warm, end=resident_mb())))
"""


def prove(work: Work) -> Iterator[Check]:
    bundle = load_station(work.station).product.bundle if work.station else DEMO
    environment = {**os.environ, "XDG_CACHE_HOME": str(work.folder / "cache")}
    for runtime in installed_runtimes():
        for count in (10, work.count):
            work.say(f"{runtime}: {count} frames")
            done = subprocess.run(
                [sys.executable, "-c", ASK, str(bundle), runtime, str(count)],
                env=environment,
                capture_output=True,
                text=True,
                check=True,
            )
        found = json.loads(done.stdout)
        yield Check(
            f"{runtime}: the second start reaches its first score within {MOST_START_S:.0f} s",
            f"{found['start_s']:.2f} s, {found['cpu_s']:.2f} s of them on a processor",
            found["start_s"] <= MOST_START_S,
        )
        yield Check(
            f"{runtime}: the process is at most {MOST_MB:.0f} MB",
            f"{found['end']:.0f} MB",
            found["end"] <= MOST_MB,
        )
        yield Check(
            f"{runtime}: memory is flat over {work.count} frames",
            f"{found['end'] - found['warm']:+.2f} MB after the first tenth",
            found["end"] - found["warm"] <= MOST_GROWTH_MB,
        )
