"""Topics: `v1/<site>/<line>/<station>/<kind>/…/`.

ZeroMQ compares topics byte by byte from the left. Each level ends in a slash, so that a
subscription to `…/line1/` does not also receive `…/line10/`.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

ROOT = b"v1/"


@dataclass(frozen=True)
class Address:
    """The place of a station; its levels hold no slash."""

    site: str
    line: str
    station: str

    @property
    def welcome(self) -> bytes:
        """Told to each new subscriber alone: from here on it is served."""
        return self._topic("welcome")

    @property
    def heartbeat(self) -> bytes:
        """The station is alive."""
        return self._topic("heartbeat")

    @property
    def state(self) -> bytes:
        """The station's state has changed."""
        return self._topic("state")

    @property
    def drift(self) -> bytes:
        """The calibration does not hold any more."""
        return self._topic("drift")

    @property
    def verdicts(self) -> bytes:
        """Where the topics of all its verdicts begin."""
        return self._topic("verdict")

    def verdict(self, product_id: str) -> bytes:
        """Verdicts on one product; what cannot stand in a level is percent-encoded."""
        return self._topic("verdict", quote(product_id, safe=" "))

    def late(self, product_id: str) -> bytes:
        """What was found on parts of a product after their deadline."""
        return self._topic("late", quote(product_id, safe=" "))

    def _topic(self, *levels: str) -> bytes:
        return ("/".join(("v1", self.site, self.line, self.station, *levels)) + "/").encode()


def kind_of(topic: bytes) -> str:
    """As `verdict` or `heartbeat`; empty when it is no topic of a station."""
    levels = topic.split(b"/")
    if len(levels) < 6 or levels[0] != b"v1" or levels[-1] != b"":
        return ""
    return levels[4].decode("ascii", "replace")
