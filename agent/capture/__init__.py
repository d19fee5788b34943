"""Capture: the camera in a process of its own, which may hang or die without the line.

A driver call that hangs cannot be cancelled from Python, so it is the process that is killed.
`Capture` is the line's side; the frames come through shared memory.
"""

from __future__ import annotations

from agent.capture.capture import Capture
from agent.capture.contract import Captured, CaptureState, CaptureStatus

__all__ = ["Capture", "CaptureState", "CaptureStatus", "Captured"]
