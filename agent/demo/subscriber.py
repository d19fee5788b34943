"""The demo's subscriber, a process of its own: every event of a station as one JSON line.

python -m agent.demo.subscriber VERDICTS REPLAY
"""

from __future__ import annotations

import json
import os
import sys

from agent.client import Behind, Gap, Position, Silence, Subscriber

LOOK_S = 0.5


def follow(verdicts: str, replay: str) -> None:
    """Print verdicts, heartbeats, changes of state and gaps until the demo is gone.

    It begins with the first verdict that the station has stored, so nothing is missed while the
    two processes start side by side.
    """
    demo = os.getppid()
    with Subscriber(verdicts, replay, position=Position(0, 0)) as station:
        while os.getppid() == demo:
            event = station.receive(LOOK_S)
            if isinstance(event, Gap):
                print(json.dumps({"gap": event.count}), flush=True)
            elif event is not None and not isinstance(event, Silence | Behind):
                print(event.to_json().decode(), flush=True)


if __name__ == "__main__":
    follow(*sys.argv[1:])
