"""`normline tell`: one command to a station, as a PLC sends it."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import click

from agent.commands.options import key_option, whether_admitted
from agent.errors import InputError

# What a command names, by the name of its field.
NAMES = {"trigger": "part_id", "select": "product_id"}
# What a key needs for it; the others need the role control.
ROLES = {"state": "trigger or control", "trigger": "trigger"}


@click.command(short_help="start, stop or trigger a station, or ask for its state")
@click.argument("endpoint")
@click.argument("what", type=click.Choice(("state", "start", "stop", "trigger", "select")))
@click.argument("name", required=False)
@click.option(
    "--deadline-ms", type=click.FloatRange(min=0, min_open=True), help="Of a triggered part."
)
@key_option
@click.option("--json", "as_json", is_flag=True, help="The station's answer as it came.")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, min_open=True, max=3600),
    default=3.0,
    show_default=True,
    help="Seconds to wait for the answer.",
)
def tell(
    endpoint: str,
    what: str,
    name: str | None,
    deadline_ms: float | None,
    key: Path | None,
    as_json: bool,
    timeout_s: float,
) -> None:
    """Send one command to the station whose commands come in at ENDPOINT.

    `trigger` takes the part's id, `select` the product's. With keys, `state` needs any role of
    commands, `trigger` the role trigger, the others control. Exit code 1: the station refuses.

    \b
    Examples:
      normline tell tcp://127.0.0.1:5558 start
      normline tell tcp://127.0.0.1:5558 trigger A17
    """
    if what in NAMES and name is None:
        thing = NAMES[what].removesuffix("_id")
        raise click.UsageError(f"{what} takes the {thing}'s id: normline tell ENDPOINT {what} ID")
    if what not in NAMES and name is not None:
        raise click.UsageError(f"{what} takes no name")
    if deadline_ms is not None and what != "trigger":
        raise click.UsageError("--deadline-ms is that of a trigger")
    for option, value in (("--deadline-ms", deadline_ms), ("--timeout", timeout_s)):
        # Not a number is in every range, and endless in one without an end.
        if value is not None and not math.isfinite(value):
            raise click.UsageError(f"{option} must be a number")
    request: dict[str, Any] = {"op": what}
    if name is not None:
        request[NAMES[what]] = name
    if deadline_ms is not None:
        request["deadline_ms"] = deadline_ms
    answer = _ask(endpoint, request, key, timeout_s)
    if as_json:
        click.echo(json.dumps(answer))
    elif "reason" in answer:
        click.echo(f"refused: {answer['reason']}")
    else:
        click.echo(answer.get("state", "accepted"))
    sys.exit(1 if "reason" in answer else 0)


def _ask(endpoint: str, request: dict[str, Any], key: Path | None, timeout_s: float) -> Any:
    # Here, so that `normline --help` does not load it.
    import zmq

    from agent.client.connection import connect
    from agent.keys import ClientKey
    from agent.keys.files import read_secret_file

    secret = read_secret_file(key, ClientKey) if key else None
    with zmq.Context() as context:
        # What the station does not hear now, it shall not hear later either.
        socket = connect(context, zmq.DEALER, endpoint, secret, immediate=True)
        socket.set(zmq.LINGER, 0)
        socket.set(zmq.SNDTIMEO, int(timeout_s * 1000))
        socket.set(zmq.RCVTIMEO, int(timeout_s * 1000))
        try:
            socket.send_json(request)
            return socket.recv_json()
        except zmq.Again:
            role = ROLES.get(request["op"], "control")
            raise InputError(
                f"no answer from {endpoint} within {timeout_s:g} s: is the station running, is "
                f"this its endpoint publish.commands, and {whether_admitted(key, role)}"
            ) from None
        finally:
            socket.close()
