"""Endpoints are what they seem, and a topic reaches only whom it names."""

from __future__ import annotations

import pytest

from agent.errors import InputError
from agent.messaging.endpoint import check_bindable, check_endpoint, is_loopback
from agent.messaging.topics import Address, kind_of


@pytest.mark.parametrize(
    ("endpoint", "connects", "binds"),
    [
        ("tcp://127.0.0.1:5556", True, True),
        ("tcp://127.8.0.1:1", True, True),
        ("tcp://[::1]:65535", True, True),
        ("tcp://192.168.0.7:5556", True, True),
        ("tcp://0.0.0.0:5556", True, True),
        ("tcp://station-7.plant:5556", True, False),
        # a name may mean another machine tomorrow
        ("tcp://localhost:5556", True, False),
        ("tcp://127.0.0.1:0", False, False),
        ("tcp://127.0.0.1:65536", False, False),
        ("tcp://127.0.0.1:*", False, False),
        ("tcp://127.0.0.1", False, False),
        ("tcp://*:5556", False, False),
        ("ipc:///tmp/x", False, False),
        ("127.0.0.1:5556", False, False),
        ("tcp://127.0.0.1:5556\n", False, False),
        ("", False, False),
    ],
)
def test_endpoints(endpoint: str, connects: bool, binds: bool) -> None:
    for check, allowed in ((check_endpoint, connects), (check_bindable, binds)):
        if allowed:
            assert check(endpoint) == endpoint
        else:
            with pytest.raises(InputError):
                check(endpoint)


@pytest.mark.parametrize(
    ("endpoint", "loopback"),
    [
        ("tcp://127.8.0.1:1", True),
        ("tcp://[::1]:5556", True),
        ("tcp://0.0.0.0:5556", False),
        ("tcp://[::]:5556", False),
        ("tcp://192.168.0.7:5556", False),
        ("tcp://localhost:5556", False),
    ],
)
def test_what_only_this_machine_reaches(endpoint: str, loopback: bool) -> None:
    assert is_loopback(endpoint) is loopback


def test_every_level_of_a_topic_ends_in_a_slash() -> None:
    address = Address("plant1", "line1", "st7")
    assert address.heartbeat == b"v1/plant1/line1/st7/heartbeat/"
    assert address.verdict("tile") == b"v1/plant1/line1/st7/verdict/tile/"
    neighbour = Address("plant1", "line10", "st7")
    assert not neighbour.heartbeat.startswith(b"v1/plant1/line1/")


def test_a_product_cannot_add_a_level() -> None:
    assert Address("a", "b", "c").verdict("7/8 ü") == b"v1/a/b/c/verdict/7%2F8 %C3%BC/"


@pytest.mark.parametrize(
    ("topic", "kind"),
    [
        (b"v1/a/b/c/verdict/tile/", "verdict"),
        (b"v1/a/b/c/heartbeat/", "heartbeat"),
        (b"v2/a/b/c/heartbeat/", ""),
        (b"v1/a/b/c/heartbeat", ""),
        (b"v1/", ""),
        (b"", ""),
        (b"\xff\xfe", ""),
    ],
)
def test_the_kind_of_a_topic(topic: bytes, kind: str) -> None:
    assert kind_of(topic) == kind
