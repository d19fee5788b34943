"""Keys are made once, kept from others, and never repeated in what is said about them."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from agent.errors import InputError
from agent.keys import AllowList, ClientKey, KeyFolder, Role, StationKey
from agent.keys.files import read_key_file, read_secret_file

READ = frozenset({Role.READ})


@pytest.fixture
def folder(tmp_path: Path) -> KeyFolder:
    folder = KeyFolder(tmp_path / "keys")
    assert folder.make()
    return folder


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_secrets_are_for_their_owner_alone(folder: KeyFolder, tmp_path: Path) -> None:
    folder.admit("mes", READ, tmp_path / "mes.key")
    assert mode(folder.folder / "station.key") == 0o600
    assert mode(tmp_path / "mes.key") == 0o600
    assert mode(folder.clients_file) == 0o644


def test_the_station_keeps_no_secret_of_a_client(folder: KeyFolder, tmp_path: Path) -> None:
    folder.admit("mes", READ, tmp_path / "mes.key")
    key = read_secret_file(tmp_path / "mes.key", ClientKey)
    secret = key.secret_key.get_secret_value()
    assert not any(secret in path.read_text() for path in folder.folder.iterdir())
    assert key.public_key in folder.clients_file.read_text()
    assert key.station_key == folder.station_key({}).public_key


def test_a_second_time_nothing_is_made(folder: KeyFolder) -> None:
    before = folder.station_key({})
    assert not folder.make()
    assert folder.station_key({}) == before


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_key_whose_writing_was_cut_off_is_made_the_next_time(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a key counted as there: the station could not start, and none was ever made."""

    def cut_off(*arguments: object) -> None:
        raise KeyboardInterrupt

    folder = KeyFolder(tmp_path / "keys")
    with monkeypatch.context() as patch:
        patch.setattr(os, step, cut_off)
        with pytest.raises(KeyboardInterrupt):
            folder.make()
    assert folder.make()
    folder.station_key({})


def test_a_damaged_key_of_the_station_is_not_there_already(folder: KeyFolder) -> None:
    (folder.folder / "station.key").write_bytes(b"")
    with pytest.raises(InputError, match=r"station\.key is damaged: .*: remove station\.key from"):
        folder.make()
    (folder.folder / "station.key").unlink()
    assert folder.make()


def test_a_client_is_listed_until_it_is_revoked(folder: KeyFolder, tmp_path: Path) -> None:
    commands = frozenset({Role.TRIGGER, Role.CONTROL})
    folder.admit("mes", READ, tmp_path / "mes.key")
    folder.admit("plc", commands, tmp_path / "plc.key")
    mes, plc = folder.clients().clients
    assert (mes.name, mes.roles, plc.name, plc.roles) == ("mes", READ, "plc", commands)
    folder.revoke("mes")
    assert folder.clients().clients == (plc,)


def test_what_cannot_be_done_changes_nothing(folder: KeyFolder, tmp_path: Path) -> None:
    folder.admit("mes", READ, tmp_path / "mes.key")
    before = folder.clients(), (tmp_path / "mes.key").read_bytes()
    with pytest.raises(InputError, match="there is a client mes already"):
        folder.admit("mes", READ, tmp_path / "again.key")
    with pytest.raises(InputError, match=r"mes\.key exists already: .*, or remove it"):
        folder.admit("other", READ, tmp_path / "mes.key")
    with pytest.raises(InputError, match=r"no client plc \(listed: mes\)"):
        folder.revoke("plc")
    assert (folder.clients(), (tmp_path / "mes.key").read_bytes()) == before
    assert not (tmp_path / "again.key").exists()


def test_a_secret_that_others_can_read_is_refused(folder: KeyFolder) -> None:
    (folder.folder / "station.key").chmod(0o640)
    with pytest.raises(InputError, match="can be read by others: chmod 600"):
        folder.station_key({})


def test_under_systemd_only_its_credential_counts(folder: KeyFolder, tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    environment = {"CREDENTIALS_DIRECTORY": str(credentials)}
    with pytest.raises(InputError, match=r"credentials/station\.key: No such file"):
        folder.station_key(environment)
    (credentials / "station.key").write_bytes((folder.folder / "station.key").read_bytes())
    assert folder.station_key(environment) == folder.station_key({})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda text: "", "Invalid JSON"),
        (lambda text: "[]", "should be an object"),
        (lambda text: text.replace("secret_key", "secret"), "secret_key: Field required"),
        (lambda text: text.replace("station-key/1", "station-key/2"), "schema"),
        # a secret that lost its last characters
        (lambda text: text[:-6] + text[-4:], "key: expected a key of 40 Z85 characters"),
    ],
)
def test_a_damaged_key_is_refused_without_repeating_it(folder: KeyFolder, spoil, message) -> None:
    path = folder.folder / "station.key"
    secret = folder.station_key({}).secret_key.get_secret_value()
    path.write_text(spoil(path.read_text()))
    with pytest.raises(InputError, match=message) as refused:
        folder.station_key({})
    assert secret[:-3] not in f"{refused.value}{refused.value.__cause__}"


def test_a_secret_does_not_show(folder: KeyFolder) -> None:
    key = folder.station_key({})
    assert key.secret_key.get_secret_value() not in f"{key} {key!r} {key.model_dump()}"


def test_a_list_with_a_client_twice_is_refused(folder: KeyFolder, tmp_path: Path) -> None:
    folder.admit("mes", READ, tmp_path / "mes.key")
    (client,) = folder.clients().clients
    text = AllowList.model_construct(clients=(client, client)).model_dump_json(by_alias=True)
    folder.clients_file.write_text(text)
    with pytest.raises(InputError, match="two clients have the same name"):
        folder.clients()


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    folder = KeyFolder(tmp_path / "none")
    with pytest.raises(InputError, match="none/clients.json: No such file"):
        folder.clients()
    with pytest.raises(InputError, match=r"none/station\.key: No such file"):
        folder.station_key({})
    with pytest.raises(InputError, match="cannot open the folder of keys"):
        folder.revoke("mes")
    with pytest.raises(InputError, match="cannot read"):
        read_key_file(tmp_path, StationKey)


def test_a_lost_key_of_the_station_costs_no_client_its_place(
    folder: KeyFolder, tmp_path: Path
) -> None:
    folder.admit("mes", READ, tmp_path / "mes.key")
    (folder.folder / "station.key").unlink()
    assert folder.make()
    assert [client.name for client in folder.clients().clients] == ["mes"]


def test_a_client_that_cannot_be_listed_has_no_key_either(
    folder: KeyFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file stood in the way of the next try, and would have opened nothing."""

    def full(*_: object) -> None:
        raise InputError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr("agent.keys.folder.write_public_file", full)
        with pytest.raises(InputError, match="no space left"):
            folder.admit("mes", READ, tmp_path / "mes.key")
    assert not (tmp_path / "mes.key").exists()
    folder.admit("mes", READ, tmp_path / "mes.key")


def test_two_changes_at_once_do_not_undo_each_other(folder: KeyFolder, tmp_path: Path) -> None:
    """A client that had just been revoked was admitted again."""
    folder.admit("mes", READ, tmp_path / "mes.key")
    admit = threading.Thread(target=folder.admit, args=("plc", READ, tmp_path / "plc.key"))
    with folder._locked():
        admit.start()
        admit.join(0.2)
        assert admit.is_alive(), "it did not wait"
        folder.clients_file.write_text(AllowList().model_dump_json(by_alias=True))
    admit.join(20)
    assert [client.name for client in folder.clients().clients] == ["plc"]
