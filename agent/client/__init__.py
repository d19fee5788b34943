"""Following a station: every verdict once and in order, with what was missed filled in.

with Subscriber("tcp://127.0.0.1:5556", "tcp://127.0.0.1:5557") as station:
    for message in station:
        ...
"""

from agent.client.replay import Position, ReplayClient, ReplayUnavailable, StationSnapshot
from agent.client.subscriber import Event, Gap, Subscriber

__all__ = [
    "Event",
    "Gap",
    "Position",
    "ReplayClient",
    "ReplayUnavailable",
    "StationSnapshot",
    "Subscriber",
]
