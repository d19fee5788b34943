"""The files that hold keys: what is in them, and how they are read and written."""

from __future__ import annotations

import os
import re
from enum import Enum
from pathlib import Path
from typing import Annotated, ClassVar, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_serializer,
    model_validator,
)

from agent.errors import InputError, first_problem
from agent.files import write_atomically

NAME = r"[A-Za-z0-9._-]{1,64}"
# 32 bytes as ZeroMQ writes them (Z85, ZeroMQ RFC 32).
Z85 = re.compile(r"[0-9A-Za-z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}")


def _check_key(text: str) -> str:
    if not Z85.fullmatch(text):
        raise ValueError("expected a key of 40 Z85 characters")
    return text


def _check_secret(secret: SecretStr) -> SecretStr:
    _check_key(secret.get_secret_value())
    return secret


PublicKey = Annotated[str, AfterValidator(_check_key)]
SecretKey = Annotated[SecretStr, AfterValidator(_check_secret)]
ClientName = Annotated[str, Field(pattern=f"^{NAME}$")]


class Role(str, Enum):
    """What a client may do."""

    READ = "read"
    """Receive verdicts, replay what was missed, acknowledge."""
    TRIGGER = "trigger"
    """Trigger parts."""
    CONTROL = "control"
    """Start and stop the station, select the product."""


class KeyFile(BaseModel):
    """Strict, and silent about its content when that is wrong; `remedy` says what to do then."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
    remedy: ClassVar[str]


class _WithSecret(KeyFile):
    secret_key: SecretKey

    @field_serializer("secret_key", when_used="json")
    def _write_secret(self, secret: SecretStr) -> str:
        return secret.get_secret_value()


class StationKey(_WithSecret):
    """A station's own pair."""

    remedy = (
        "remove station.key from the folder of keys, run normline keys create, and make a new key "
        "for every client"
    )
    schema_id: Literal["normline/station-key/1"] = Field("normline/station-key/1", alias="schema")
    public_key: PublicKey


class ClientKey(_WithSecret):
    """All that a client needs: its own pair, and the key by which it knows the station."""

    remedy = "make another with normline keys create"
    schema_id: Literal["normline/client-key/1"] = Field("normline/client-key/1", alias="schema")
    name: ClientName
    public_key: PublicKey
    station_key: PublicKey


class Client(KeyFile):
    """A client that is admitted."""

    name: ClientName
    key: PublicKey
    roles: frozenset[Role] = Field(min_length=1)
    created_at: str = Field(description="UTC, ISO 8601")

    @field_serializer("roles", when_used="json")
    def _write_roles(self, roles: frozenset[Role]) -> list[str]:
        return sorted(role.value for role in roles)


class AllowList(KeyFile):
    """The clients that a station admits; it holds no secret."""

    remedy = (
        "put a copy back, or remove it, run normline keys create, and make a new key for every "
        "client"
    )
    schema_id: Literal["normline/clients/1"] = Field("normline/clients/1", alias="schema")
    clients: tuple[Client, ...] = ()

    @model_validator(mode="after")
    def _each_once(self) -> AllowList:
        for what in ("name", "key"):
            values = [getattr(client, what) for client in self.clients]
            if len(set(values)) < len(values):
                raise ValueError(f"two clients have the same {what}")
        return self


File = TypeVar("File", bound=KeyFile)


def read_key_file(path: Path, kind: type[File]) -> File:
    """Read a key file of a kind.

    Raises:
        InputError: it is missing or is no such file; the message repeats none of its content.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        # The cause would carry the content into a traceback.
        raise InputError(f"{path} is damaged: {first_problem(error)}: {kind.remedy}") from None


def read_secret_file(path: Path, kind: type[File]) -> File:
    """Read a key file that holds a secret.

    Raises:
        InputError: as for `read_key_file`, or others than its owner may read it.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    if mode & 0o077:
        raise InputError(f"{path} can be read by others: chmod 600 {path}")
    return read_key_file(path, kind)


def write_secret_file(path: Path, content: KeyFile) -> None:
    """Make a file that only its owner can read, from its first moment on, whole or not at all.

    Raises:
        InputError: it exists or cannot be made.
    """
    if os.path.lexists(path):
        raise InputError(
            f"{path} exists already: give another name, or remove it if no station lists who has it"
        )
    write_atomically(path, _text(content), mode=0o600)


def write_public_file(path: Path, content: KeyFile) -> None:
    """Write a file that everybody may read, whole or not at all.

    Raises:
        InputError: it cannot be written.
    """
    write_atomically(path, _text(content))


def _text(content: KeyFile) -> bytes:
    return content.model_dump_json(by_alias=True, indent=1).encode() + b"\n"
