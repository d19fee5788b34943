"""`normline reject-gate`: let through what a station passes, and nothing else."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

import click

from agent.logs import log_to_stderr

ALIVE_S = 0.2


@click.command("reject-gate", short_help="drive a gate: only a PASS for the part opens it")
@click.argument("gate", type=click.Path(path_type=Path))
def reject_gate(gate: Path) -> None:
    """Drive the output that the file GATE describes, until told to end.

    A sensor sees a part: the station is triggered, and the part travels on to the gate, for a
    time or for counts of an encoder. While it is there the output is driven, if the station has
    said PASS of this part, in time. Everything else rejects: another verdict, none, a late one, a
    silent station, and the end of this program.

    \b
    Example:
      normline reject-gate gate.yaml
    """
    # Here, so that `normline --help` does not load what only a gate needs.
    from agent.gate import RejectGate, load_gate
    from agent.gate.encoder import open_position
    from agent.gate.output import open_output
    from agent.gate.sensor import open_sensor
    from agent.service.notify import Notifier
    from agent.signals import on_end

    log_to_stderr()
    settings = load_gate(gate)
    ended = False

    def end(_number: int, _frame: FrameType | None) -> None:
        nonlocal ended
        ended = True

    with ExitStack() as stack:
        output = open_output(settings.output.uri, settings.output.signal == "alternating")
        stack.callback(output.close)
        sensor = open_sensor(settings.sensor)
        stack.callback(sensor.close)
        loop = RejectGate(settings, sensor, output, open_position(settings.travel.encoder))
        stack.callback(loop.close)
        notifier = Notifier()
        stack.callback(notifier.close)
        on_end(end)
        notifier.ready()
        click.echo(f"normline: the gate is ready and rejects: {settings.output.uri}")
        told_s = 0.0
        while not ended:
            loop.turn()
            # A thousand turns a second are systemd's no more than five.
            if time.monotonic() - told_s > ALIVE_S:
                told_s = time.monotonic()
                notifier.alive()
    # Now that it rejects: whoever reads this may be stuck.
    click.echo(f"normline: {loop.counts}")
