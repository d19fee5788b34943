"""What asks a program to end: systemd, Ctrl-C, and a terminal that closes."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

ENDS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def on_end(handler: Callable[[int, FrameType | None], Any]) -> None:
    """Have a handler called for whatever asks to end.

    A terminal that closes asks twice, and the second time while everything is being closed.
    """
    for each in ENDS:
        # Whoever starts a program by nohup wants it to outlive the terminal.
        if not (each is signal.SIGHUP and signal.getsignal(each) is signal.SIG_IGN):
            signal.signal(each, handler)


@contextmanager
def own_handlers() -> Iterator[None]:
    """What was to be done about each before is put back at the end."""
    before = {each: signal.getsignal(each) for each in ENDS}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
