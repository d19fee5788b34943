"""Camera addresses: what a station file may name, read strictly and shown without secrets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError

from agent.errors import InputError, first_problem


class Options(BaseModel):
    """Base of what may follow the `?` of an address; every other key is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


SomeOptions = TypeVar("SomeOptions", bound=Options)


@dataclass(frozen=True)
class CameraUri:
    """A camera's address in parts.

    text: as given, with any secret in it; shown: fit for messages and logs, without user,
    password and query.
    """

    text: str
    scheme: str
    host: str
    path: str
    query: str

    @property
    def shown(self) -> str:
        return f"{self.scheme}://{self.host}{self.path}"

    def options(self, model: type[SomeOptions]) -> SomeOptions:
        """The part after `?` as `model`.

        Raises:
            InputError: an unknown key, a key given twice or a value of the wrong kind.
        """
        pairs = parse_qsl(self.query, keep_blank_values=True)
        values = dict(pairs)
        known = ", ".join(model.model_fields) or "none"
        if len(values) != len(pairs):
            raise InputError(f"camera {self.shown}: a key is given twice")
        try:
            return model.model_validate(values)
        except ValidationError as error:
            problem, wrong = error.errors()[0], first_problem(error)
            if problem["type"] == "extra_forbidden":
                wrong = f"unknown key {problem['loc'][0]} (known: {known})"
            raise InputError(f"camera {self.shown}: {wrong}") from error

    def local_path(self) -> str:
        """The absolute path that a `folder`, `file` or `v4l2` address names.

        Raises:
            InputError: there is a host in the address, or no path.
        """
        if self.host or not self.path.startswith("/"):
            raise InputError(
                f"camera {self.shown}: give an absolute path after three slashes, "
                f"as in {self.scheme}:///absolute/path"
            )
        return unquote(self.path)


def parse(text: str) -> CameraUri:
    """Split a camera's address; whether it exists is for the camera to find out.

    Raises:
        InputError: it is no address.
    """
    # What follows it would be a fragment, and the camera another.
    if "#" in text:
        raise InputError("the camera's address has a # in it: write %23 instead")
    try:
        parts = urlsplit(text)
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError as error:
        raise InputError("the camera's address cannot be read: check its host and port") from error
    if "://" not in text or not parts.scheme:
        raise InputError(
            "the camera's address has no scheme: write it as in folder:///absolute/path"
        )
    return CameraUri(text, parts.scheme, (parts.hostname or "") + port, parts.path, parts.query)
