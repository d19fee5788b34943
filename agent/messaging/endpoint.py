"""Endpoints: `tcp://host:port`."""

from __future__ import annotations

import ipaddress
import re

from agent.errors import InputError

PATTERN = re.compile(r"tcp://(?P<host>\[[0-9A-Fa-f:]+\]|[A-Za-z0-9.-]+):(?P<port>\d{1,5})")


def check_endpoint(endpoint: str) -> str:
    """Return `endpoint` when it is one that a peer can connect to.

    Raises:
        InputError: it does not read `tcp://host:port` with a port from 1 to 65535.
    """
    match = PATTERN.fullmatch(endpoint)
    if match is None or not 1 <= int(match["port"]) <= 65535:
        raise InputError(f"{endpoint!r} is not an endpoint: expected tcp://HOST:PORT")
    return endpoint


def check_bindable(endpoint: str) -> str:
    """Return `endpoint` when a station can bind it: the numeric address of one of its interfaces.

    Raises:
        InputError: not an endpoint, or a name, which may mean another interface tomorrow.
    """
    if _address(check_endpoint(endpoint)) is None:
        raise InputError(
            f"{endpoint} names a host: give the address of an interface of this machine, "
            "such as tcp://127.0.0.1:5556"
        )
    return endpoint


def is_loopback(endpoint: str) -> bool:
    """Whether only this machine reaches what is bound there."""
    address = _address(endpoint)
    return address is not None and address.is_loopback


def _address(endpoint: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    match = PATTERN.fullmatch(endpoint)
    try:
        return ipaddress.ip_address(match["host"].strip("[]")) if match else None
    except ValueError:
        return None
