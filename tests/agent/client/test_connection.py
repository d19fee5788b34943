"""What is asked while nobody is there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

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


# A network and a resolver of its own, whose name server takes questions and answers none.
ALONE = "ip link set lo up && mount --bind $0/resolv.conf /etc/resolv.conf && \
mount --bind $0/nsswitch.conf /etc/nsswitch.conf"
FOLLOW = """
import os, socket, zmq
from agent.client import Subscriber
names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
names.bind(("127.0.0.1", 53))
names.settimeout(20)
station = zmq.Context().socket(zmq.XPUB)
port = station.bind_to_random_port("tcp://127.0.0.1")
with Subscriber(f"tcp://127.0.0.1:{port}", "tcp://mes.plant:5557", client="mes") as client:
    names.recv(512)
    if station.poll(15_000):
        topic = station.recv()[1:]
        station.send(topic)
    print("heard" if client._socket.poll(15_000) else "silent", flush=True)
    os._exit(0)
"""


def test_a_dead_name_server_does_not_silence_the_station(tmp_path: Path) -> None:
    """Asking for what was missed, by name, looked for all the world like a station that hangs."""
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:30 attempts:2\n")
    (tmp_path / "nsswitch.conf").write_text("hosts: dns\n")
    alone = ["unshare", "--map-root-user", "--mount", "--net", "sh", "-c"]
    try:
        subprocess.run([*alone, ALONE, str(tmp_path)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no network of one's own here: {error}")
    run = [*alone, f'{ALONE} && exec "$1" -c "$2"', str(tmp_path), sys.executable, FOLLOW]
    followed = subprocess.run(run, capture_output=True, text=True)
    assert followed.stdout == "heard\n", followed.stderr
