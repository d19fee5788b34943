"""Where the normal parts come from: a folder of images, a list of them, or a camera."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from agent.camera import Camera, CameraFault, EndOfStream, Settings, open_camera
from agent.errors import InputError
from agent.files import write_atomically
from agent.imaging import list_images, read_image

# Beside pictures that a camera took for calibration: how it was set.
SETTINGS_FILE = "camera.json"


@dataclass(frozen=True)
class Source:
    """Named camera images.

    count: how many there are, of a camera how many are wanted; names: of all, None for a camera,
    which gives more pictures for those that are of no use; settings: of the camera, None where
    not known.
    """

    frames: Iterator[tuple[str, NDArray[Any]]]
    count: int
    names: list[str] | None
    settings: Settings | None


@contextmanager
def open_source(address: str, count: int | None) -> Iterator[Source]:
    """Open a folder of images, or a camera by its URI.

    Args:
        address: a folder, taken with its subfolders; a text file that names an image a line, such
            as the `calibration.txt` that training leaves; or a camera URI, which contains `://`.
        count: how many parts are wanted of a camera; None for a folder.

    Raises:
        InputError: no such folder, no images, a whole data set in place of its good images, a
            camera that does not open, or a count where none belongs.
    """
    if "://" not in address:
        if count is not None:
            raise InputError("--count is for cameras: every image of a folder is used")
        given = Path(address)
        paths = _listed_images(given) if given.suffix == ".txt" else _normal_images(given)
        frames = ((str(path), read_image(path)) for path in paths)
        yield Source(frames, len(paths), list(map(str, paths)), read_settings(given))
        return
    if count is None:
        raise InputError("a camera does not end: say how many parts to take with --count")
    camera = open_camera(address)
    try:
        yield Source(_camera_frames(camera), count, None, camera.settings())
    finally:
        camera.close()


class Keeper:
    """Keeps pictures of a camera as a folder that can be calibrated from again."""

    def __init__(self, folder: Path, settings: Settings | None) -> None:
        """Make the folder; raises InputError when that is not possible or it holds something."""
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()):
                raise InputError(f"{folder} is not empty: name a new folder for the pictures")
        except OSError as error:
            raise InputError(f"cannot keep pictures in {folder}: {error.strerror}") from error
        if settings is not None:
            write_atomically(folder / SETTINGS_FILE, json.dumps(settings).encode())

    def keep(self, name: str, image: NDArray[np.uint8]) -> None:
        """Write one picture, without loss."""
        data = cv2.imencode(".png", image)[1].tobytes()
        # A folder's pictures may be named by their subfolders.
        plain = name.removeprefix("frame ").replace("/", "_")
        write_atomically(self._folder / f"{plain}.png", data)


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


def read_exclusions(path: Path, names: Collection[str]) -> set[str]:
    """The pictures that a person has ruled out, as the source names them.

    Args:
        path: a text file, a picture a line, as named in the report or relative to the file;
            lines that begin with # are comments.
        names: of all pictures.

    Raises:
        InputError: the file cannot be read, or names a picture that is not among them.
    """
    resolved = {str(Path(name).resolve()): name for name in names}
    excluded = set()
    for line in _lines(path):
        if line.startswith("#"):
            continue
        beside = str((path.parent / line).resolve())
        found = line if line in names else resolved.get(str(Path(line).resolve()))
        found = found or resolved.get(beside)
        if found is None:
            raise InputError(
                f"{path} names {line}, which is not among the pictures given: name a picture as "
                f"the report does, such as {min(names, default='good/0017.png')}"
            )
        excluded.add(found)
    return excluded


def _normal_images(folder: Path) -> list[Path]:
    parts = [name for name in ("train", "test", "ground_truth") if (folder / name).is_dir()]
    if parts:
        raise InputError(
            f"{folder} is a whole data set (it has {', '.join(parts)}): give only good images that "
            f"the model was not trained on, such as {folder / 'test' / 'good'}"
        )
    paths = list_images(folder)
    kinds = {path.relative_to(folder).parts[0] for path in paths if path.parent != folder}
    if "good" in kinds and len(kinds) > 1:
        others = ", ".join(sorted(kinds - {"good"})[:3])
        raise InputError(
            f"{folder} has {others} beside good, which would count as normal parts: give "
            f"{folder / 'good'}"
        )
    return paths


def _listed_images(listing: Path) -> list[Path]:
    paths = [listing.parent / line for line in _lines(listing)]
    if not paths:
        raise InputError(f"{listing} names no images: give one path a line")
    return paths


def _lines(listing: Path) -> list[str]:
    try:
        text = listing.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the list of images {listing}: {error}") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def _camera_frames(camera: Camera) -> Iterator[tuple[str, NDArray[Any]]]:
    taken = 0
    while True:
        try:
            frame = camera.read()
        except EndOfStream:
            return
        except CameraFault as fault:
            raise InputError(f"the camera failed after {taken} frames: {fault}") from fault
        taken += 1
        yield f"frame {frame.name}", frame.image
