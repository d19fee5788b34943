"""Where runtimes keep what they have compiled, so that the next start is a short one."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path

from agent.errors import InputError
from agent.files import write_atomically

log = logging.getLogger(__name__)

SEAL = "sha256.json"
# Engines that were not loaded for so long, of a model or a version that went, are removed. Those of
# a station that runs were loaded when it started.
UNUSED_S = 365 * 24 * 3600.0


@dataclass(frozen=True)
class EngineKey:
    """All that a compiled engine depends on; an engine of another key is never loaded.

    driver: of a GPU; the instruction sets of a CPU.
    """

    model_sha256: str
    runtime: str
    driver: str
    device: str
    precision: str

    def folder(self, root: Path) -> Path:
        """Where engines of this key are kept; readable up front, unambiguous by its digest."""
        digest = hashlib.sha256("\0".join(astuple(self)).encode()).hexdigest()
        return root / f"{self.model_sha256[:12]}-{self.precision}-{digest[:16]}"


def cache_root(runtime: str, environment: Mapping[str, str] = os.environ) -> Path:
    """The folder for a runtime's engines: in systemd's cache directory, or in the user's.

    Raises:
        InputError: the user has no home.
    """
    if "CACHE_DIRECTORY" in environment:
        return Path(environment["CACHE_DIRECTORY"]) / runtime
    user = environment.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if user.startswith("~"):
        raise InputError("there is no home folder to keep compiled engines in: set XDG_CACHE_HOME")
    return Path(user) / "normline" / runtime


def prepare_cache(folder: Path) -> None:
    """Make the cache folder, and throw away what is not as `seal_cache` left it.

    A runtime loads a damaged engine if only its header is whole, and then scores with it.

    Raises:
        InputError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        known = _read_seal(folder)
        for path in _engines(folder):
            if known.get(path.name) != _digest(path):
                log.warning("%s is not what was compiled here: it is compiled anew", path)
                path.unlink(missing_ok=True)
        with suppress(OSError):  # nothing was compiled yet, or this is another's to read
            os.utime(folder / SEAL)
    except OSError as error:
        named = "CACHE_DIRECTORY" if "CACHE_DIRECTORY" in os.environ else "XDG_CACHE_HOME"
        raise InputError(
            f"cannot keep compiled engines in {folder}: {error.strerror}; "
            f"set {named} to a folder that can be written"
        ) from error


def seal_cache(folder: Path) -> None:
    """Remember what the runtime has just compiled; raises InputError when that is not possible."""
    try:
        digests = {path.name: _digest(path) for path in _engines(folder)}
    except OSError as error:
        # Another process that starts at the same time throws away what has no seal yet.
        raise InputError(f"cannot seal the engines in {folder}: {error.strerror}") from error
    if digests != _read_seal(folder):
        write_atomically(folder / SEAL, json.dumps(digests, indent=1).encode())


def keep_sealed(folder: Path) -> None:
    """Keep what was compiled; a disk that is full costs the next start its time, not this one.

    What was compiled for other keys, and loaded by nobody for a year, goes.
    """
    try:
        seal_cache(folder)
    except InputError as error:
        log.warning("%s; the next start compiles anew", error)
    for seal in folder.parent.glob(f"*/{SEAL}"):
        with suppress(FileNotFoundError):  # another process removes it too
            if seal.parent != folder and time.time() - seal.stat().st_mtime > UNUSED_S:
                shutil.rmtree(seal.parent, ignore_errors=True)


def _engines(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if path.is_file() and path.name != SEAL]


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _read_seal(folder: Path) -> dict[str, str]:
    try:
        known = json.loads((folder / SEAL).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return known if isinstance(known, dict) else {}
