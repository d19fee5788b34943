"""The shared memory itself, between two processes."""

from __future__ import annotations

import errno
import multiprocessing
import os
import resource
import time
from multiprocessing.connection import Connection
from types import SimpleNamespace

import numpy as np
import pytest

from agent.capture import ring as ring_module
from agent.capture.ring import Ring

READINGS = 300_000


def beat_until_told(ring: Ring, line: Connection) -> None:
    ring.beat(time.monotonic_ns())
    line.send("beating")
    while not line.poll(0):
        for _ in range(1000):
            ring.beat(time.monotonic_ns())


def write_and_tell(ring: Ring, line: Connection) -> None:
    image = np.arange(30 * 40 * 3, dtype=np.uint32).reshape(30, 40, 3).astype(np.uint8)
    ring.write(1, image)
    line.send(image.shape)


def test_a_beat_is_never_seen_half_written():
    ring = Ring(1)
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    process = spawn.Process(target=beat_until_told, args=(ring, there), daemon=True)
    process.start()
    assert here.recv() == "beating"
    seen: list[int] = []
    # Until it is sure that both processes were at it at the same time; the time-out of the test
    # bounds it on a machine that gives the other process no turn.
    while len(set(seen)) <= 100:
        seen += [ring.last_beat_ns() for _ in range(READINGS)]
    here.send("enough")
    process.join()
    assert all(before <= after for before, after in zip(seen, seen[1:], strict=False))
    assert seen[0] > 0
    ring.close()


def test_what_one_process_writes_the_other_reads():
    ring = Ring(2)
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    process = spawn.Process(target=write_and_tell, args=(ring, there), daemon=True)
    process.start()
    image = ring.read(1, here.recv(), np.dtype(np.uint8))
    process.join()
    assert image.shape == (30, 40, 3)
    assert np.array_equal(image.ravel(), (np.arange(3600) % 256).astype(np.uint8))
    ring.close()


def test_slots_do_not_touch_each_other():
    ring = Ring(2)
    dark, bright = np.zeros((5, 6, 3), np.uint8), np.full((50, 60, 3), 200, np.uint8)
    ring.write(0, dark)
    ring.write(1, bright)
    assert np.array_equal(ring.read(0, dark.shape, dark.dtype), dark)
    assert np.array_equal(ring.read(1, bright.shape, bright.dtype), bright)
    ring.close()


def test_16_bits_stay_16_bits() -> None:
    ring = Ring(1)
    deep = np.arange(30 * 40 * 3, dtype=np.uint16).reshape(30, 40, 3) * 17
    ring.write(0, deep)
    read = ring.read(0, deep.shape, deep.dtype)
    assert read.dtype == np.uint16 and np.array_equal(read, deep)
    ring.close()


def test_without_memory_to_map_no_descriptor_is_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """A camera that is opened again and again took them all."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    before = sorted(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(ring_module, "mmap", SimpleNamespace(mmap=refuse))
    with pytest.raises(OSError, match="Cannot allocate"):
        Ring(2)
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_a_python_that_was_built_for_older_systems_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are downloaded often know of no memfd, on whatever system they run."""
    monkeypatch.delattr(os, "memfd_create")
    monkeypatch.delattr(os, "MFD_CLOEXEC")
    ring = Ring(1)
    ring.beat(5)
    assert ring.last_beat_ns() == 5
    assert not any(os.get_inheritable(block.descriptor) for block in (ring._beat, *ring._slots))
    ring.close()


def test_without_a_descriptor_to_be_had_the_reason_is_told() -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, before)) + 1, hard))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            Ring(1000)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert sorted(os.listdir("/proc/self/fd")) == before
