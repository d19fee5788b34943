"""`normline keys` makes, lists and revokes, and shows no secret."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agent.commands.keys import keys
from agent.errors import InputError
from agent.keys import ClientKey, KeyFolder
from agent.keys.files import read_secret_file


class Desk:
    """The command, on a folder of keys of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.output = ""

    def run(self, command: str, *arguments: str) -> Result:
        result = CliRunner().invoke(
            keys, [command, *arguments, "--keys", str(self.folder / "keys")]
        )
        self.output += result.output
        return result

    def create(self, name: str, *roles: str) -> Result:
        options = [word for role in roles for word in ("--role", role)]
        return self.run("create", name, *options, "--out", str(self.folder / f"{name}.key"))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_who_made_a_key_by_sudo_is_told_how_to_read_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SUDO_USER", raising=False)
    assert "chown" not in desk.create("mes", "read").output
    monkeypatch.setenv("SUDO_USER", "eva")
    key = desk.folder / "plc.key"
    assert f"only root can read it: sudo chown eva: {key}" in desk.create("plc", "read").output


def test_create_list_revoke(desk: Desk) -> None:
    assert desk.create("mes", "read").exit_code == 0
    assert desk.create("plc", "trigger", "control").exit_code == 0
    lines = desk.run("list").output.splitlines()
    assert [line.split()[:2] for line in lines] == [["mes", "read"], ["plc", "control,trigger"]]
    listed = json.loads(desk.run("list", "--json").output)
    assert [client["name"] for client in listed["clients"]] == ["mes", "plc"]
    assert desk.run("revoke", "mes").exit_code == 0
    assert desk.run("revoke", "plc").exit_code == 0
    assert "nobody is admitted" in desk.run("list").output


def test_no_secret_is_shown(desk: Desk) -> None:
    desk.create("mes", "read")
    desk.run("list")
    desk.run("list", "--json")
    desk.create("mes", "read")
    desk.run("revoke", "mes")
    secrets = [
        KeyFolder(desk.folder / "keys").station_key({}).secret_key,
        read_secret_file(desk.folder / "mes.key", ClientKey).secret_key,
    ]
    assert desk.output
    assert not any(secret.get_secret_value() in desk.output for secret in secrets)


def test_without_a_name_only_the_stations_key_is_made(desk: Desk) -> None:
    made = desk.run("create").output
    assert "made the station's key" in made
    assert "systemctl restart normline" in made
    assert "already" in desk.run("create").output
    assert KeyFolder(desk.folder / "keys").clients().clients == ()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["create", "mes"], "what may mes do"),
        (["create", "--role", "read"], "a client needs a name"),
        (["create", "a/b", "--role", "read"], "a name is of letters"),
        (["revoke", "mes"], "cannot open the folder of keys"),
        (["list"], "No such file"),
    ],
)
def test_a_mistake_is_one_line(desk: Desk, arguments: list[str], message: str) -> None:
    error = desk.run(*arguments).exception
    assert isinstance(error, InputError)
    assert message in str(error)
    assert "\n" not in str(error)
