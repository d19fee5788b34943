"""Fixtures for whatever talks over ZeroMQ or keeps a journal."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import zmq

from agent.journal import Journal
from agent.messaging.door import Door

# Below those that Linux gives to connections.
PORTS = range(20_000, 32_000)


def free_endpoint() -> str:
    """A loopback endpoint that nothing listens on.

    None of the ports that connections begin at: another test's could take it before it is bound.
    """
    while True:
        port = PORTS.start + secrets.randbelow(len(PORTS))
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return f"tcp://127.0.0.1:{port}"


@pytest.fixture
def endpoint() -> Callable[[], str]:
    return free_endpoint


@pytest.fixture
def context() -> Iterator[zmq.Context]:
    context: zmq.Context = zmq.Context()
    yield context
    context.destroy(linger=0)


@pytest.fixture
def door(context: zmq.Context) -> Iterator[Door]:
    """Opens sockets without keys."""
    door = Door(context, None)
    yield door
    door.close()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "journal.db")
    yield journal
    journal.close()
