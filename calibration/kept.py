"""A camera's pictures, kept as a folder: to calibrate from, or to go on with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from agent.camera import Settings
from agent.errors import InputError
from agent.files import write_atomically
from agent.imaging import read_image

# Beside the pictures: how the camera was set and, until there are enough, for which model.
SETTINGS_FILE = "camera.json"
UNFINISHED = "unfinished"


class Keeper:
    """Keeps pictures in a new folder, or in one that an interrupted run for the same model left."""

    def __init__(self, folder: Path, settings: Settings | None, model: str | None) -> None:
        """Make the folder, or go on with it.

        Args:
            folder: for the pictures alone.
            settings: of the camera.
            model: sha256 of the bundle; None for a recording, which is never gone on with: it
                starts anew and would show its parts a second time.

        Raises:
            InputError: the folder cannot be made, or holds something else.
        """
        self.folder = folder
        self._mark = folder / UNFINISHED
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()):
                self._check_unfinished(settings, model)
                return
        except OSError as error:
            raise InputError(f"cannot keep pictures in {folder}: {error.strerror}") from error
        if settings is not None:
            write_atomically(folder / SETTINGS_FILE, json.dumps(settings).encode())
        if model is not None:
            write_atomically(self._mark, model.encode())

    def _check_unfinished(self, settings: Settings | None, model: str | None) -> None:
        begun_for = self._mark.read_bytes() if self._mark.is_file() else None
        if begun_for is None or model is None:
            raise InputError(f"{self.folder} is not empty: name a new folder for the pictures")
        if begun_for != model.encode() or read_settings(self.folder) != settings:
            raise InputError(
                f"{self.folder} holds pictures for another model, or of other camera settings: "
                "name a new folder for the pictures"
            )

    @property
    def paths(self) -> list[Path]:
        """The pictures there, the oldest first."""
        return sorted(self.folder.glob("*.png"))

    def pictures(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """Those of the interrupted run, by the names that it gave them."""
        for path in self.paths:
            yield f"frame {path.stem}", read_image(path)

    def keep(self, name: str, image: NDArray[np.uint8]) -> None:
        """Write one picture, without loss, unless it is there."""
        # A folder's pictures may be named by their subfolders.
        plain = name.removeprefix("frame ").replace("/", "_")
        path = self.folder / f"{plain}.png"
        if not path.exists():
            write_atomically(path, cv2.imencode(".png", image)[1].tobytes())

    def finish(self) -> None:
        """Nothing is to be added to the folder any more."""
        self._mark.unlink(missing_ok=True)


def read_settings(given: Path) -> Settings | None:
    """The camera settings kept beside pictures; None where there are none.

    Raises:
        InputError: the file cannot be understood.
    """
    path = given / SETTINGS_FILE
    if not path.is_file():
        return None
    settings: TypeAdapter[Settings] = TypeAdapter(Settings)
    try:
        return settings.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise InputError(f"{path} does not hold the settings of a camera: remove it") from error
