"""A replay of any length leaves room in the client's queue."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable

import zmq

from agent.client.replay import PAGE, ReplayClient
from agent.messaging.sockets import HIGH_WATER_MARK
from tests.agent.factories import make_verdict


def test_a_long_replay_is_asked_for_page_by_page(endpoint: Callable[[], str]) -> None:
    """Were all of it under way at once, a client that reads slowly would be aborted by libzmq."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    where, last = endpoint(), 2 * PAGE + 7
    asked: list[tuple[int, int]] = []
    station = context.socket(zmq.ROUTER)
    station.bind(where)

    def answer() -> None:
        while sum(to - first + 1 for first, to in asked) < last:
            peer, body = station.recv_multipart()
            request = json.loads(body)
            asked.append((request["from"], request["to"]))
            for seq in range(request["from"], request["to"] + 1):
                station.send_multipart([peer, b"topic", make_verdict(1, seq).to_json()])
            station.send_multipart([peer, b'{"op":"end"}'])

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    client = ReplayClient(context, where, 10.0)
    assert [verdict.seq for verdict in client.replay(1, 1, last)] == list(range(1, last + 1))
    thread.join(10)
    client.close()
    context.destroy(linger=0)
    assert asked == [(1, PAGE), (PAGE + 1, 2 * PAGE), (2 * PAGE + 1, last)]
    assert PAGE < HIGH_WATER_MARK / 2
