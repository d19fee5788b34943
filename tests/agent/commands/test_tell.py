"""`normline tell` does from a shell what a PLC does: after three late parts somebody must start."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agent.client import Subscriber
from agent.commands.tell import tell
from agent.errors import InputError
from agent.keys import KeyFolder, Role
from tests.agent.conftest import free_endpoint
from tests.agent.service.process import StationProcess, write_station


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(tell, [str(each) for each in arguments])


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StationProcess]:
    folder = tmp_path_factory.mktemp("station")
    with StationProcess(write_station(folder, {"uri": "synthetic://", "mode": "triggered"})) as it:
        yield it


def test_it_stops_and_starts_a_station(station: StationProcess) -> None:
    endpoint = station.publish["commands"]
    assert run(endpoint, "state").output == "Ready\n"
    assert run(endpoint, "stop").output == "Initialized\n"
    refused = run(endpoint, "trigger", "A1")
    assert (refused.output, refused.exit_code) == ("refused: NOT_READY\n", 1)
    assert run(endpoint, "start").output == "Ready\n"


def test_it_triggers_a_part(station: StationProcess) -> None:
    with Subscriber(station.publish["verdicts"]) as other:
        assert other.receive(5.0) is not None
        told = run(station.publish["commands"], "trigger", "A2", "--deadline-ms", "5000", "--json")
        assert json.loads(told.output) == {"op": "trigger", "part_id": "A2", "accepted": True}
        verdict = next(verdict for verdict in other.verdicts() if verdict.part_id == "A2")
    assert verdict.deadline_ms == 5000 and told.exit_code == 0


def test_what_the_station_refuses_is_told_with_its_reason(station: StationProcess) -> None:
    refused = run(station.publish["commands"], "select", "cap")
    assert refused.exit_code == 1 and "this station inspects tiny" in refused.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("trigger",), "trigger takes the part's id: normline tell ENDPOINT trigger ID"),
        (("select",), "select takes the product's id"),
        (("start", "A1"), "start takes no name"),
        (("stop", "--deadline-ms", "5"), "--deadline-ms is that of a trigger"),
        (("trigger", "A1", "--deadline-ms", "nan"), "--deadline-ms must be a number"),
        (("trigger", "A1", "--deadline-ms", "inf"), "--deadline-ms must be a number"),
        (("state", "--timeout", "nan"), "--timeout must be a number"),
        (("state", "--timeout", "1e10"), "not in the range 0<x<=3600"),
    ],
)
def test_what_makes_no_sense_is_not_sent(arguments: tuple[str, ...], message: str) -> None:
    result = run("tcp://127.0.0.1:5558", *arguments)
    assert result.exit_code == 2 and message in result.output


def test_a_station_that_is_not_there_is_one_line() -> None:
    """And it does not hear the trigger when it comes, which would ask about another part."""
    result = run(free_endpoint(), "trigger", "A1", "--timeout", "0.2")
    assert isinstance(result.exception, InputError)
    assert "no answer from" in str(result.exception)
    assert "does it ask for a key (none was given)?" in str(result.exception)


@pytest.mark.parametrize(
    ("what", "role"),
    [(("start",), "control"), (("trigger", "A1"), "trigger"), (("state",), "trigger or control")],
)
def test_a_key_that_is_not_let_in_is_told_which_role_it_needs(
    tmp_path: Path, what: tuple[str, ...], role: str
) -> None:
    """A key with the role read is listed and good for verdicts, and gets no answer here."""
    keys = KeyFolder(tmp_path / "keys")
    keys.make()
    keys.admit("mes", frozenset({Role.READ}), tmp_path / "mes.key")
    key = tmp_path / "mes.key"
    result = run(free_endpoint(), *what, "--timeout", "0.1", "--key", key)
    assert f"does it list this key with the role {role}?" in str(result.exception)
