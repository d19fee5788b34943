"""`normline watch`: follow a station and see what it says, and what was missed."""

from __future__ import annotations

import itertools
import json
import time
from dataclasses import asdict
from pathlib import Path

import click

from agent.client import Behind, Event, Gap, Position, Silence, Subscriber
from agent.commands.options import key_option, whether_admitted
from agent.errors import InputError
from agent.messaging.status import DriftAlarm, Heartbeat, StateChange
from agent.trouble import kind
from agent.verdict import LateResult, Outcome, Verdict

# Who watches wants to see what goes on, also when the replay endpoint does not answer.
PATIENCE_S = 2.0
# Fields of the heartbeat that say what is wrong, or null.
FAULTS = ("picture_fault", "journal_fault", "evidence_fault")
# Counts in it, since the station's start, that somebody has to know of.
COUNTS = (
    "camera_restarts",
    "malformed",
    "forbidden",
    "journal_lost",
    "journal_forgotten",
    "evidence_dropped",
)
COLOURS = {Outcome.PASS: "green", Outcome.REJECT: "red", Outcome.NO_DECISION: "yellow"}


@click.command(short_help="follow a station: verdicts, gaps, heartbeats")
@click.argument("endpoint")
@click.option("--replay", help="The station's replay endpoint: fill gaps from its journal.")
@click.option("--all", "all_stored", is_flag=True, help="First all that the journal holds.")
@key_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for programs.")
@click.option("--count", type=click.IntRange(min=1), help="End after this many verdicts.")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    default=5.0,
    show_default=True,
    help="Seconds to wait for the station's first sign of life.",
)
def watch(
    endpoint: str,
    replay: str | None,
    all_stored: bool,
    key: Path | None,
    as_json: bool,
    count: int | None,
    timeout_s: float,
) -> None:
    """Follow the station whose verdicts are published at ENDPOINT, until Ctrl-C.

    Prints how the station is, then each verdict, each finding that came too late, each change of
    state, faults and drift as they come and go, counts of what was lost or refused as they grow,
    gaps in the sequence, and the loss and return of the heartbeat. With --json: messages as they
    were published, of heartbeats the first and those in which a fault has changed or a count has
    grown, gaps as {"gap": …}, silence as {"silent": true}, a station that has lost its clock and
    its journal as {"behind": …}.

    \b
    Example:
      normline watch tcp://127.0.0.1:5556 --replay tcp://127.0.0.1:5557
    """
    if all_stored and replay is None:
        raise click.UsageError("--all needs --replay, where the journal is read")
    start = Position(0, 0) if all_stored else None
    with Subscriber(endpoint, replay, position=start, key=key, patience_s=PATIENCE_S) as station:
        first = _first_sign_of_life(station, timeout_s)
        if first is None:
            raise InputError(
                f"nothing heard from {endpoint} within {timeout_s:g} s: is the station running, "
                f"is this its endpoint publish.verdicts, and {whether_admitted(key, 'read')}"
            )
        verdicts, pulse = 0, Pulse()
        for event in itertools.chain([first], station):
            if isinstance(event, Heartbeat):
                for line in pulse.lines(event, as_json):
                    click.echo(line)
            else:
                _show(event, as_json)
            verdicts += isinstance(event, Verdict)
            if count is not None and verdicts >= count:
                return


def _first_sign_of_life(station: Subscriber, timeout_s: float) -> Event | None:
    until_s = time.monotonic() + timeout_s
    while (left_s := until_s - time.monotonic()) > 0:
        event = station.receive(left_s)
        if event is not None and not isinstance(event, Silence):
            return event
    return None


class Pulse:
    """What heartbeats say: first how the station is, which may have nothing else to say for hours;
    then what is wrong, told when it changes, but for what was measured.
    """

    def __init__(self) -> None:
        self._heard = False
        self._before: dict[str, str | None] = {}
        self._counted = dict.fromkeys(COUNTS, 0)

    def lines(self, heartbeat: Heartbeat, as_json: bool) -> list[str]:
        """Lines to print, or the heartbeat itself: for the first, each fault that has come or gone,
        and each count that has grown.
        """
        now: dict[str, str | None] = {name: getattr(heartbeat, name) for name in FAULTS}
        drift = heartbeat.drift
        drifts = drift is not None and drift.state == "DRIFT"
        now["drift"] = "; ".join(drift.changes) or "found" if drift and drifts else None
        lines = [] if self._heard else [_greeting(heartbeat)]
        self._heard = True
        for name, fault in now.items():
            if kind(fault or "") != kind(self._before.get(name) or ""):
                words = name.replace("_", " ")
                text, colour = (f"{words}: {fault}", "red") if fault else (f"no {words}", "green")
                lines.append(click.style(text, fg=colour))
        self._before = now
        for name, before in self._counted.items():
            count = self._counted[name] = getattr(heartbeat, name)
            if count > before:
                lines.append(click.style(f"{name.replace('_', ' ')}: {count}", fg="yellow"))
        return [heartbeat.to_json().decode()] if lines and as_json else lines


def _greeting(heartbeat: Heartbeat) -> str:
    given = heartbeat.last_seq - heartbeat.first_seq + 1
    return (
        f"{heartbeat.sent_at}  {heartbeat.state.value}, camera {heartbeat.camera}, "
        f"verdicts since the start: {given}, calibration {heartbeat.calibration[:12]}"
    )


Shown = Verdict | LateResult | StateChange | DriftAlarm | Gap | Silence | Behind


def _show(event: Shown, as_json: bool) -> None:
    if as_json:
        text = _as_json(event)
    elif isinstance(event, Verdict):
        text = describe(event)
    elif isinstance(event, LateResult):
        text = f"{event.seq:>8}  {_plain(event.part_id):<12}  too late: {event.found.value}"
    elif isinstance(event, StateChange):
        text = f"{event.sent_at}  {event.previous.value} -> {event.state.value}: {event.cause}"
    elif isinstance(event, DriftAlarm):
        text = click.style(f"DRIFT: {'; '.join(event.drift.changes)}", fg="red")
    elif isinstance(event, Gap):
        text = click.style(
            f"gap: {event.count} verdicts missed ({event.first} to {event.last})", fg="red"
        )
    elif isinstance(event, Behind):
        text = click.style(
            f"the station is at epoch {event.epoch}, behind {event.position.epoch}: its clock and "
            "its journal were lost, and none of its verdicts is shown; start normline watch again",
            fg="red",
        )
    elif event.over:
        text = click.style("the station is back", fg="green")
    else:
        text = click.style("the station is silent: nothing is inspected", fg="red")
    click.echo(text)


def _as_json(event: Shown) -> str:
    if isinstance(event, Gap):
        return json.dumps({"gap": asdict(event)})
    if isinstance(event, Behind):
        return json.dumps({"behind": asdict(event)})
    if isinstance(event, Silence):
        return json.dumps({"silent": not event.over})
    return event.to_json().decode()


def _plain(name: str) -> str:
    """A name that a file may have, so that it cannot paint on a terminal."""
    return "".join(each if each.isprintable() else "?" for each in name)


def describe(verdict: Verdict) -> str:
    """A verdict as one line for people."""
    outcome = click.style(f"{verdict.verdict.value:<11}", fg=COLOURS[verdict.verdict])
    words = [f"{verdict.seq:>8}", f"{_plain(verdict.part_id):<12}", outcome]
    if verdict.review:
        words.append("for review")
    if verdict.score is not None:
        words.append(f"score {verdict.score:.3f} (limit {verdict.threshold:.3f})")
    if verdict.reason is not None:
        words.append(verdict.reason.value)
    if verdict.regions:
        box = verdict.regions[0].box
        words.append(f"at {box.x},{box.y} {box.width}x{box.height}")
    if verdict.durations_ms.inference is not None:
        words.append(f"{verdict.durations_ms.inference:.1f} ms")
    return "  ".join(words)
