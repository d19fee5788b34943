"""Where the normal parts come from: a folder of images, a list of them, or a camera."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from agent.camera import Camera, CameraFault, EndOfStream, open_camera, settings_digest
from agent.errors import InputError
from agent.imaging import list_images, read_image


@dataclass(frozen=True)
class Source:
    """Named camera images, and how many there will be at most.

    settings_digest: sha256 of the camera's settings; None for image files.
    """

    frames: Iterator[tuple[str, NDArray[Any]]]
    count: int
    settings_digest: str | None


@contextmanager
def open_source(address: str, count: int | None) -> Iterator[Source]:
    """Open a folder of images, or a camera by its URI.

    Args:
        address: a folder, taken with its subfolders; a text file that names an image a line, such
            as the `calibration.txt` that training leaves; or a camera URI, which contains `://`.
        count: how many frames to take from a camera, fewer if it ends; None for a folder.

    Raises:
        InputError: no such folder, no images, a whole data set in place of its good images, a
            camera that does not open, or a count where none belongs.
    """
    if "://" not in address:
        if count is not None:
            raise InputError("--count is for cameras: every image of a folder is used")
        given = Path(address)
        paths = _listed_images(given) if given.suffix == ".txt" else _normal_images(given)
        yield Source(((str(path), read_image(path)) for path in paths), len(paths), None)
        return
    if count is None:
        raise InputError("a camera does not end: say how many parts to take with --count")
    camera = open_camera(address)
    try:
        yield Source(_camera_frames(camera, count), count, settings_digest(camera.settings()))
    finally:
        camera.close()


def _normal_images(folder: Path) -> list[Path]:
    parts = [name for name in ("train", "test", "ground_truth") if (folder / name).is_dir()]
    if parts:
        raise InputError(
            f"{folder} is a whole data set (it has {', '.join(parts)}): give only good images that "
            f"the model was not trained on, such as {folder / 'test' / 'good'}"
        )
    return list_images(folder)


def _listed_images(listing: Path) -> list[Path]:
    try:
        lines = listing.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the list of images {listing}: {error}") from error
    paths = [listing.parent / line.strip() for line in lines if line.strip()]
    if not paths:
        raise InputError(f"{listing} names no images: give one path a line")
    return paths


def _camera_frames(camera: Camera, count: int) -> Iterator[tuple[str, NDArray[Any]]]:
    for taken in range(count):
        try:
            frame = camera.read()
        except EndOfStream:
            return
        except CameraFault as fault:
            raise InputError(f"the camera failed after {taken} frames: {fault}") from fault
        yield f"frame {frame.name}", frame.image
