"""What decoders print: their only word about a picture of which they made something up.

libjpeg fills the rows that it lacks with grey, FFmpeg takes them from the picture before, and both
hand over a whole picture. What is printed may hold the camera's password: it goes nowhere else.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys

# Harmless, and said of every picture by some cameras: extraneous bytes before a marker.
DAMAGE = re.compile(
    rb"premature end of (?:data segment|JPEG file)|bad Huffman code|bad arithmetic code"
    rb"|instead of RST|Inconsistent progression|EOI missing|overread -?\d|bad vlc|error y="
    rb"|concealing|Packet corrupt|error while decoding|Error at MB|damaged at"
    rb"|could not find ref|missing reference picture|reference picture missing"
    rb"|Error parsing NAL|undecodable NALU|CABAC_MAX_BIN|first frame is no keyframe",
    re.IGNORECASE,
)
# What a pipe holds; what comes when it is full is lost.
ROOM = 1 << 16
# FFmpeg's log levels: AV_LOG_INFO, at which it says what it conceals, and AV_LOG_QUIET.
INFO, QUIET = "32", "-8"
LIBC = ctypes.CDLL(None)

_heard: int | None = None


def listen() -> None:
    """Keep from now on what native code prints in this process; Python keeps its stderr."""
    global _heard
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1, errors="backslashreplace")
    # Never waiting: a driver that prints without end must not hang for it.
    _heard, printed = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    os.dup2(printed, 1)
    os.dup2(printed, 2)
    os.close(printed)


def ffmpeg_level() -> str:
    """How much FFmpeg is to print: nothing where a person or a log would get it."""
    return QUIET if _heard is None else INFO


def damage() -> str | None:
    """What was printed about damage since the last call; None where nothing was, or none listens.

    Where pictures are compressed as changes it holds for those that follow, and is told once.
    """
    if _heard is None:
        return None
    # FFmpeg's words wait in the buffer of C's stdout.
    LIBC.fflush(None)
    try:
        printed = os.read(_heard, ROOM)
    except BlockingIOError:
        return None
    found = DAMAGE.search(printed)
    if found is not None:
        return found[0].decode()
    return "more than can be kept" if len(printed) > ROOM // 2 else None
