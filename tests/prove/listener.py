"""A subscriber in a process of its own, for as slow as it is told to be.

`python -m tests.prove.listener VERDICTS REPLAY OUT HURRY`: writes "epoch seq" of every verdict to
OUT, one a second until the file HURRY is there, and "gap" for what it could not have.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from agent.client import Gap, Position, Subscriber
from agent.verdict import Verdict


def main(verdicts: str, replay: str, out: str, hurry: str) -> None:
    with (
        Path(out).open("w", buffering=1) as lines,
        Subscriber(verdicts, replay, position=Position(0, 0)) as station,
    ):
        for event in station:
            if isinstance(event, Verdict):
                lines.write(f"{event.epoch} {event.seq}\n")
                if not Path(hurry).exists():
                    time.sleep(1.0)
            elif isinstance(event, Gap):
                lines.write("gap\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
