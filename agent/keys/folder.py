"""The folder of a station's keys: `station.key`, its secret, and `clients.json`, whom it admits."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

import zmq
from pydantic import SecretStr

from agent.errors import InputError
from agent.keys.files import (
    NAME,
    AllowList,
    Client,
    ClientKey,
    Role,
    StationKey,
    read_key_file,
    read_secret_file,
    write_public_file,
    write_secret_file,
)

STATION_KEY = "station.key"
CLIENTS = "clients.json"


class KeyFolder:
    """Makes, lists and revokes keys. Every change is whole, whoever else changes the folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def clients_file(self) -> Path:
        """The allow-list; a running station follows its changes."""
        return self.folder / CLIENTS

    def station_key(self, environment: Mapping[str, str] = os.environ) -> StationKey:
        """The station's own pair; under systemd the one that LoadCredential hands over.

        Raises:
            InputError: it is missing, damaged, or open to others. Where systemd gives a folder of
                credentials, nothing but that is looked at: it may be empty without an error.
        """
        credentials = environment.get("CREDENTIALS_DIRECTORY")
        if credentials is not None:
            return read_key_file(Path(credentials) / STATION_KEY, StationKey)
        return read_secret_file(self.folder / STATION_KEY, StationKey)

    def clients(self) -> AllowList:
        """Whom the station admits.

        Raises:
            InputError: the list is missing or damaged.
        """
        return read_key_file(self.clients_file, AllowList)

    def make(self) -> bool:
        """Make the folder, the station's pair and an empty list where they are missing.

        Returns:
            Whether the station's pair was made.

        Raises:
            InputError: they cannot be made, or the station's pair is there and damaged.
        """
        try:
            self.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot make {self.folder}: {error.strerror}") from error
        with self._locked():
            made = not (self.folder / STATION_KEY).exists()
            if made:
                public, secret = _new_pair()
                write_secret_file(
                    self.folder / STATION_KEY, StationKey(public_key=public, secret_key=secret)
                )
            else:
                read_key_file(self.folder / STATION_KEY, StationKey)
            if not self.clients_file.exists():
                write_public_file(self.clients_file, AllowList())
        return made

    def admit(self, name: str, roles: frozenset[Role], file: Path) -> None:
        """Make a pair for a client, write it to `file`, and put its public key on the list.

        Raises:
            InputError: the name is taken, or a file cannot be read or written.
        """
        if not re.fullmatch(NAME, name):
            raise InputError(
                f"{name!r} cannot be a client's name: a name is of letters, digits, dots, dashes "
                "and underscores, at most 64"
            )
        with self._locked():
            listed = self.clients()
            if any(client.name == name for client in listed.clients):
                raise InputError(
                    f"there is a client {name} already: revoke it first, or give another name"
                )
            station = read_secret_file(self.folder / STATION_KEY, StationKey)
            public, secret = _new_pair()
            client = Client(
                name=name,
                key=public,
                roles=roles,
                created_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            )
            changed = AllowList(clients=(*listed.clients, client))
            # The pair first: a key that is listed and that nobody has would be of no use.
            write_secret_file(
                file,
                ClientKey(
                    name=name,
                    public_key=public,
                    secret_key=secret,
                    station_key=station.public_key,
                ),
            )
            try:
                write_public_file(self.clients_file, changed)
            except InputError:
                file.unlink(missing_ok=True)
                raise

    def revoke(self, name: str) -> None:
        """Take a client off the list; a running station then ends its connections.

        Raises:
            InputError: nobody of this name is on the list, or it cannot be read or written.
        """
        with self._locked():
            listed = self.clients()
            rest = tuple(client for client in listed.clients if client.name != name)
            if rest == listed.clients:
                names = ", ".join(client.name for client in listed.clients) or "nobody"
                raise InputError(f"there is no client {name} (listed: {names})")
            write_public_file(self.clients_file, AllowList(clients=rest))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the folder, so that two changes at once do not undo each other."""
        try:
            descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise InputError(
                f"cannot open the folder of keys {self.folder}: {error.strerror}"
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _new_pair() -> tuple[str, SecretStr]:
    public, secret = zmq.curve_keypair()
    return public.decode("ascii"), SecretStr(secret.decode("ascii"))
