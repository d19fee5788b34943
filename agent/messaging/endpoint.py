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


def check_loopback(endpoint: str) -> str:
    """Return `endpoint` when a station may bind it: an address that only this machine reaches.

    Raises:
        InputError: not an endpoint, or not a numeric loopback address.
    """
    match = PATTERN.fullmatch(check_endpoint(endpoint))
    host = match["host"].strip("[]") if match else ""
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise InputError(
            f"{endpoint} is open to other machines, who could not be told apart: "
            "use a loopback address such as tcp://127.0.0.1:5556"
        )
    return endpoint
