"""The bundle: a model as one immutable, verified file.

A bundle is an uncompressed zip whose comment ends in the sha256 of every byte before it. The seal
is checked before anything is parsed, so no flipped byte reaches a parser, and the bytes that were
verified are the bytes that are used: the file is read once. The seal finds damage, not malice;
whoever can write the file can seal it again.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from agent.errors import InputError, first_problem, unknown_field
from agent.files import write_atomically
from agent.golden import Golden
from agent.manifest import PRECISIONS, SCHEMA, Manifest

MANIFEST = "manifest.json"
GOLDEN = "golden.npz"
SEAL = b"normline bundle, sha256 of all before: "
DIGEST_LENGTH = 64
# Protocol buffer bytes of the key under which ONNX names a file beside the model.
EXTERNAL_DATA = b"\x0a\x08location"
# What reading a zip raises that is damaged, or was made to be.
UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    ValueError,
    KeyError,
    EOFError,
    OSError,
    RuntimeError,
    MemoryError,
)


@dataclass(frozen=True)
class Bundle:
    """A verified bundle; `sha256` is the hex digest of the whole file, its identity."""

    path: Path
    sha256: str
    manifest: Manifest
    _members: dict[str, bytes]

    @property
    def precisions(self) -> tuple[str, ...]:
        """The precisions that this bundle holds a model for."""
        return tuple(p for p in PRECISIONS if model_member(p) in self._members)

    def model(self, precision: str) -> bytes:
        """The ONNX file of one precision.

        Raises:
            InputError: the bundle has no model of this precision.
        """
        if precision not in self.precisions:
            raise InputError(
                f"{self.path} has no {precision} model: choose one of {', '.join(self.precisions)}"
            )
        return self._members[model_member(precision)]

    def member(self, name: str) -> bytes:
        """Content of a member that the manifest names."""
        return self._members[name]

    def golden(self) -> Golden:
        """The golden frames and values.

        Raises:
            InputError: the member is not what a bundle holds, or of another size than the model.
        """
        try:
            with np.load(io.BytesIO(self._members[GOLDEN]), allow_pickle=False) as arrays:
                golden = Golden(arrays["frames"], arrays["scores"], arrays["maps"])
        except UNREADABLE as error:
            raise InputError(f"{self.path}: {GOLDEN} cannot be read: {error}") from error
        if golden.maps.shape[1:] != self.manifest.input_size:
            raise InputError(
                f"{self.path}: golden maps are {golden.maps.shape[1:]}, "
                f"the model takes {self.manifest.input_size}"
            )
        return golden


def model_member(precision: str) -> str:
    """Name of the member that holds the model of this precision."""
    return f"model.{precision}.onnx"


def open_bundle(path: Path) -> Bundle:
    """Read and verify a bundle: the seal, then the schema, then every member.

    Raises:
        InputError: it cannot be read, is not a bundle, is altered, or is of a newer schema.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the bundle {path}: {error.strerror}") from error
    _check_seal(path, data)
    members = _read_members(path, data)
    manifest = _read_manifest(path, members.pop(MANIFEST, None))
    _check_members(path, manifest, members)
    return Bundle(path, hashlib.sha256(data).hexdigest(), manifest, members)


def write_bundle(path: Path, manifest_fields: dict[str, Any], members: dict[str, bytes]) -> str:
    """Write a bundle in one step; a reader sees the old file or the new one, never a part.

    Args:
        path: where; an existing file is replaced.
        manifest_fields: the manifest's fields but `schema` and `members`, which are filled in.
        members: content by name: `model.<precision>.onnx`, `golden.npz`, the ignore mask.

    Returns:
        The bundle's sha256. The same content always gives the same bytes.

    Raises:
        InputError: a field or member that `open_bundle` would refuse, or an unwritable path.
    """
    path = Path(path)
    digests = {name: hashlib.sha256(members[name]).hexdigest() for name in sorted(members)}
    fields = {**manifest_fields, "schema": SCHEMA, "members": digests}
    try:
        manifest = Manifest.model_validate(fields)
    except ValidationError as error:
        raise InputError(f"cannot write {path}: {first_problem(error)}") from error
    _check_members(path, manifest, members)
    content = {MANIFEST: manifest.model_dump_json(by_alias=True, indent=1).encode(), **members}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in (MANIFEST, *sorted(members)):
            archive.writestr(zipfile.ZipInfo(name), content[name])
        archive.comment = SEAL + b"0" * DIGEST_LENGTH
    body = buffer.getvalue()[:-DIGEST_LENGTH]
    data = body + hashlib.sha256(body).hexdigest().encode()
    write_atomically(path, data)
    return hashlib.sha256(data).hexdigest()


def _check_seal(path: Path, data: bytes) -> None:
    body, digest = data[:-DIGEST_LENGTH], data[-DIGEST_LENGTH:]
    if hashlib.sha256(body).hexdigest().encode() == digest and body.endswith(SEAL):
        return
    # 30 bytes of local header come before the name of a zip's first member.
    begins = data[:4] == b"PK\x03\x04" or data[30:].startswith(MANIFEST.encode())
    if not begins and not body.endswith(SEAL):
        raise InputError(f"{path} is not a normline bundle: give a .nlb file from normline export")
    raise InputError(
        f"{path} is altered or incomplete (its checksum does not match its content): "
        "copy or export it again"
    )


def _read_members(path: Path, data: bytes) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            names = [entry.filename for entry in entries]
            if len(set(names)) != len(names):
                raise InputError(f"{path} is not a normline bundle: it names a member twice")
            # Stored only, and nothing twice: a bundle cannot unpack to more than the file itself.
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
                raise InputError(f"{path} is not a normline bundle: it has compressed members")
            if sum(entry.file_size for entry in entries) > len(data):
                raise InputError(f"{path} is not a normline bundle: its members overlap")
            return {name: archive.read(name) for name in names}
    except UNREADABLE as error:
        raise InputError(f"{path} is not a normline bundle: {error}") from error


def _read_manifest(path: Path, text: bytes | None) -> Manifest:
    try:
        fields = json.loads(text or b"")
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not a normline bundle: no readable {MANIFEST}") from error
    schema = fields.get("schema") if isinstance(fields, dict) else None
    if isinstance(schema, int) and schema > SCHEMA:
        raise InputError(
            f"{path} is of schema {schema}, this normline reads up to {SCHEMA}: update normline"
        )
    try:
        return Manifest.model_validate(fields)
    except ValidationError as error:
        if (field := unknown_field(error)) is not None:
            raise InputError(
                f"{path} was made by a newer normline (its {MANIFEST} has {field}): update normline"
            ) from error
        raise InputError(f"{path} has a wrong {MANIFEST}: {first_problem(error)}") from error


def _check_members(path: Path, manifest: Manifest, members: dict[str, bytes]) -> None:
    models = {model_member(precision): precision for precision in PRECISIONS}
    known = {*models, GOLDEN, *filter(None, [manifest.ignore_mask])}
    for name in sorted(members.keys() | manifest.members.keys()):
        content = members.get(name)
        if content is None:
            raise InputError(f"{path}: the manifest names {name}, which is missing")
        if name not in manifest.members or name not in known:
            raise InputError(f"{path} has an unexpected member {name}")
        if hashlib.sha256(content).hexdigest() != manifest.members[name]:
            raise InputError(f"{path}: {name} is altered (another sha256 than the manifest's)")
        if name in models and models[name] not in manifest.tolerances:
            raise InputError(f"{path}: {name} has no tolerance in the manifest")
        if name in models and EXTERNAL_DATA in content:
            raise InputError(f"{path}: {name} keeps weights outside of the bundle")
    if GOLDEN not in members or not models.keys() & members.keys():
        raise InputError(f"{path} needs {GOLDEN} and at least one of {', '.join(models)}")
    if manifest.ignore_mask is not None and manifest.ignore_mask not in members:
        raise InputError(f"{path}: the ignore mask {manifest.ignore_mask} is missing")
