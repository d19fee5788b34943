"""Following a station: every verdict once and in order, with what was missed filled in.

with Subscriber("tcp://127.0.0.1:5556", "tcp://127.0.0.1:5557", memory=Path("mes.json")) as station:
    for verdict in station.verdicts():
        ...
"""

from agent.client.events import Behind, Event, Gap, Silence
from agent.client.position import Position
from agent.client.replay import ReplayClient, ReplayUnavailable
from agent.client.subscriber import Subscriber

__all__ = [
    "Behind",
    "Event",
    "Gap",
    "Position",
    "ReplayClient",
    "ReplayUnavailable",
    "Silence",
    "Subscriber",
]
