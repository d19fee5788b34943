"""What is asked while nobody is there."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import zmq

from agent.client.connection import connect


def test_a_request_that_nobody_hears_is_refused_and_not_delivered_to_who_comes_later(
    context: zmq.Context, endpoint: Callable[[], str]
) -> None:
    where = endpoint()
    client = connect(context, zmq.DEALER, where, None, immediate=True)
    with pytest.raises(zmq.Again):
        client.send(b"while nobody is there", zmq.NOBLOCK)
    station = context.socket(zmq.ROUTER)
    station.bind(where)
    assert client.poll(10_000, zmq.POLLOUT)
    client.send(b"to somebody")
    assert station.poll(10_000)
    assert station.recv_multipart()[1:] == [b"to somebody"]
