"""What the tests of capture take from it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from agent.capture import Capture, Captured
from agent.capture.contract import Mode

PATIENCE_S = 40.0


def make_capture(
    uri: str, mode: Mode = "free_run", pending_limit: int = 8, latency_ms: float = 0
) -> Capture:
    return Capture(uri, mode, pending_limit=pending_limit, latency_ms=latency_ms)


def take_until(capture: Capture, reached: Callable[[Captured | None], bool]) -> Captured | None:
    """Take until a result fulfils `reached`; fails the test when that does not come."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        captured = capture.take(0.2)
        if reached(captured):
            return captured
    pytest.fail(f"did not come within {PATIENCE_S} s: {capture.status}")


def be_busy(seconds: float) -> None:
    """A line that does something else for a while; the camera goes on meanwhile."""
    threading.Event().wait(seconds)


def take_frame(capture: Capture) -> Captured:
    captured = take_until(capture, lambda captured: captured is not None)
    assert captured is not None
    return captured
