"""A subscriber in a process of its own, for as slow as it is told to be.

`python -m tests.prove.listener VERDICTS REPLAY OUT HURRY [MEMORY]`: writes "epoch seq" of every
verdict to OUT, one a second until the file HURRY is there, and "gap" for what it could not have.
Started again with the same MEMORY, it goes on.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from agent.client import Gap, Position, Subscriber
from agent.verdict import Verdict


def main(verdicts: str, replay: str, out: str, hurry: str, memory: str | None = None) -> None:
    # A memory that is not there yet stands for the beginning too.
    begins = {"memory": Path(memory)} if memory else {"position": Position(0, 0)}
    with (
        Path(out).open("a", buffering=1) as lines,
        Subscriber(verdicts, replay, **begins) as station,
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
