"""Several cameras on one engine: frames a second, and what each frame then waits."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.bundle import Bundle
from agent.engine import SharedEngine, load_engine
from agent.errors import InputError

WARM_UP = 3


@dataclass(frozen=True)
class Throughput:
    """Cameras that each send a frame as soon as their last one is answered."""

    runtime: str
    device: str
    precision: str
    cameras: int
    streams: int
    frames_per_s: float
    p50_ms: float
    p99_ms: float


def measure_cameras(
    bundle: Bundle,
    runtime: str,
    precision: str,
    device: str,
    cameras: int,
    streams: int,
    seconds: float,
) -> Throughput:
    """Let `cameras` threads ask one engine of `streams` streams for `seconds`."""
    engine = load_engine(
        bundle, runtime=runtime, device=device, precision=precision, streams=streams
    )
    shared = SharedEngine(engine, streams)
    frames = bundle.golden().frames
    taken: list[list[float]] = [[] for _ in range(cameras)]
    failures: list[Exception] = []
    begin = threading.Barrier(cameras + 1)
    end = threading.Event()
    threads = [
        threading.Thread(target=_camera, args=(shared, frames, begin, end, mine, failures))
        for mine in taken
    ]
    try:
        for thread in threads:
            thread.start()
        begin.wait()
        started = time.monotonic()
        end.wait(seconds)
        end.set()
        for thread in threads:
            thread.join()
        elapsed = time.monotonic() - started
    finally:
        # After Ctrl-C the cameras end too, and no engine is closed while one of them asks it.
        begin.abort()
        end.set()
        for thread in threads:
            if thread.is_alive():
                thread.join()
        shared.close()
    if failures:
        raise InputError(f"{engine.fingerprint} failed: {failures[0]}") from failures[0]
    together = np.concatenate([np.array(mine) for mine in taken])
    p50, p99 = np.percentile(together, [50, 99])
    rate = len(together) / elapsed
    return Throughput(runtime, device, precision, cameras, streams, rate, float(p50), float(p99))


def _camera(
    shared: SharedEngine,
    frames: NDArray[np.uint8],
    begin: threading.Barrier,
    end: threading.Event,
    milliseconds: list[float],
    failures: list[Exception],
) -> None:
    try:
        for index in range(WARM_UP):
            shared.infer(frames[index % len(frames)])
    except Exception as error:
        failures.append(error)
        end.set()
    try:
        begin.wait()
    except threading.BrokenBarrierError:
        return
    while not end.is_set() or not milliseconds:
        started_ns = time.perf_counter_ns()
        try:
            shared.infer(frames[len(milliseconds) % len(frames)])
        except Exception as error:
            failures.append(error)
            end.set()
            return
        milliseconds.append((time.perf_counter_ns() - started_ns) / 1e6)
