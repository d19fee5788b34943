"""What goes wrong again and again, told in the log without filling it."""

from __future__ import annotations

import logging
import re
import time

log = logging.getLogger(__name__)

EVERY_S = 10.0
NUMBER = re.compile(r"[\d.]+")


class Trouble:
    """One kind of trouble: logged at once, and while it goes on every EVERY_S.

    Attributes:
        count: how often it came.
    """

    def __init__(self, words: str) -> None:
        self._words = words
        self._due_s = 0.0
        self.count = 0

    def came(self, example: object) -> None:
        """Count it, and log it with this example when it is time to."""
        self.count += 1
        now_s = time.monotonic()
        if now_s >= self._due_s:
            self._due_s = now_s + EVERY_S
            log.warning("%s, %d so far: %s", self._words, self.count, example)


def kind(fault: str) -> str:
    """A fault without its numbers, which differ from picture to picture."""
    return NUMBER.sub("", fault)
