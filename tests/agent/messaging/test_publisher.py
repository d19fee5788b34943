"""Subscribers are welcomed, get what they asked for, and cannot hold the station up."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import zmq

from agent.errors import InputError
from agent.messaging.door import Door
from agent.messaging.publisher import Publisher
from agent.messaging.sockets import HIGH_WATER_MARK, MAX_MESSAGE_BYTES

WELCOME = b"v1/a/b/c/welcome/"
NONSENSE = [
    b"",
    b"\x07nonsense",
    b"x" * (MAX_MESSAGE_BYTES - 1),
    # subscriptions to what no station publishes
    b"\x01v2/",
    b"\x01v1/" + b"x" * 1000,
]


def subscribe(
    context: zmq.Context, publisher: Publisher, endpoint: str, *topics: bytes
) -> zmq.Socket:
    """A subscriber that has been welcomed."""
    socket = context.socket(zmq.SUB)
    socket.set(zmq.RCVTIMEO, 5000)
    for topic in (WELCOME, *topics):
        socket.set(zmq.SUBSCRIBE, topic)
    socket.connect(endpoint)
    for _ in range(500):
        publisher.drain()  # a publisher sees its new peers when it next does something
        if socket.poll(10):
            assert socket.recv_multipart() == [WELCOME]
            return socket
    pytest.fail("not welcomed")


def test_a_subscriber_gets_its_topics_after_its_welcome(
    context: zmq.Context, door: Door, endpoint: Callable[[], str]
) -> None:
    address = endpoint()
    publisher = Publisher(door, address, WELCOME)
    socket = subscribe(context, publisher, address, b"v1/a/b/c/verdict/line1/")
    for line in (b"line10", b"line1"):
        publisher.send(b"v1/a/b/c/verdict/%s/" % line, b"{}")
    assert socket.recv_multipart() == [b"v1/a/b/c/verdict/line1/", b"{}"]
    publisher.close()


def test_a_subscriber_that_never_reads_stops_nobody(
    context: zmq.Context, door: Door, endpoint: Callable[[], str]
) -> None:
    address = endpoint()
    publisher = Publisher(door, address, WELCOME)
    subscribe(context, publisher, address, b"v1/")
    awake = subscribe(context, publisher, address, b"v1/")
    for number in range(4 * HIGH_WATER_MARK):
        publisher.send(b"v1/a/b/c/verdict/x/", b"%0500d" % number)
        if number % 100 == 0:
            publisher.drain()
            while awake.poll(0):
                awake.recv_multipart()
    publisher.send(b"v1/a/b/c/heartbeat/", b"last")
    while (frames := awake.recv_multipart())[1] != b"last":
        assert len(frames) == 2
    publisher.close()


def test_what_a_peer_sends_is_dropped_and_counted(
    context: zmq.Context, door: Door, endpoint: Callable[[], str]
) -> None:
    address = endpoint()
    publisher = Publisher(door, address, WELCOME)
    peer = context.socket(zmq.XSUB)
    peer.connect(address)
    peer.send(b"\x01v1/")
    for nonsense in NONSENSE:
        peer.send(nonsense)
    for _ in range(500):  # until the subscription has taken effect
        publisher.drain()
        publisher.send(b"v1/a/b/c/state/", b"{}")
        if peer.poll(10) and peer.recv_multipart() == [b"v1/a/b/c/state/", b"{}"]:
            break
    else:
        pytest.fail("the publisher is deaf")
    for _ in range(500):
        publisher.drain()
        if door.malformed >= len(NONSENSE) or peer.poll(10):
            break
    assert door.malformed == len(NONSENSE)
    publisher.close()


def test_a_port_in_use_is_named(door: Door, endpoint: Callable[[], str]) -> None:
    address = endpoint()
    publisher = Publisher(door, address, WELCOME)
    with pytest.raises(InputError, match=f"{address} is in use"):
        Publisher(door, address, WELCOME)
    publisher.close()


def test_an_address_of_another_machine_is_named(door: Door) -> None:
    with pytest.raises(InputError, match=r"cannot listen on tcp://192\.0\.2\.1:5556"):
        Publisher(door, "tcp://192.0.2.1:5556", WELCOME)
