"""Where the normal parts come from: a folder of images, a list of them, or a camera."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from agent.camera import Settings
from agent.camera.uri import parse
from agent.capture import Capture, CaptureState
from agent.errors import InputError
from agent.imaging import read_image
from calibration.folders import list_good_images
from calibration.kept import read_settings

# Nobody waits for a verdict. A camera that the line triggers is without a picture for as long as
# its driver waits for one, 10 s, and a large image takes its time to be read.
HUNG_S = 15.0
# How often a camera that has failed is told of.
LOOK_S = 0.5


@dataclass(frozen=True)
class Source:
    """Named camera images.

    frames: by name; of a camera that has failed, why there is none, under one name until it is
    back. count: how many there are, of a camera how many are wanted; names: of all, None for a
    camera, which gives more pictures for those that are of no use; settings: of the camera, None
    where not known. recorded: all can be had again, as of folders and films.
    """

    frames: Iterator[tuple[str, NDArray[Any] | str]]
    count: int
    names: list[str] | None
    settings: Settings | None
    recorded: bool = True


@contextmanager
def open_source(address: str, count: int | None) -> Iterator[Source]:
    """Open a folder of images, or a camera by its URI, as a station does.

    Args:
        address: a folder, taken with its subfolders; a text file that names an image a line, such
            as the `calibration.txt` that training leaves; or a camera URI, which contains `://`.
        count: how many parts are wanted of a camera; None for a folder.

    Raises:
        InputError: no such folder, no images, others than good ones among them by the names of
            their folders, a camera that does not open, or a count where none belongs.
    """
    if "://" not in address:
        if count is not None:
            raise InputError("--count is for cameras: every image of a folder is used")
        given = Path(address)
        paths = _listed_images(given) if given.suffix == ".txt" else list_good_images(given)
        names = list(map(str, paths))
        yield Source(_read(names), len(names), names, read_settings(given))
        return
    if count is None:
        raise InputError("a camera does not end: say how many parts to take with --count")
    if (uri := parse(address)).scheme == "folder":
        list_good_images(Path(uri.local_path()))
    with Capture(address, "free_run", pending_limit=1, least_stall_s=HUNG_S) as capture:
        capture.start()
        yield Source(_camera_frames(capture), count, None, capture.settings, capture.waits)


def put_first(names: Collection[str], source: Source) -> Source:
    """The same files, these before all others."""
    ordered = sorted(source.names or (), key=lambda name: name not in names)
    return replace(source, frames=_read(ordered))


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


def _read(names: Iterable[str]) -> Iterator[tuple[str, NDArray[Any]]]:
    return ((name, read_image(Path(name))) for name in names)


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
    # Names may hold what else ends a line of a text: a form feed, or U+2028.
    return [line.strip() for line in text.split("\n") if line.strip()]


def _camera_frames(capture: Capture) -> Iterator[tuple[str, NDArray[Any] | str]]:
    """What a camera shows until it ends; once it has failed, why, again and again until it is back.

    Raises:
        InputError: a recording failed, which opened again would show its parts a second time.
    """
    taken, failed_at = 0, None
    while capture.status.state is not CaptureState.ENDED:
        captured = capture.take(LOOK_S)
        status = capture.status
        if captured is not None:
            taken, failed_at = taken + 1, None
            frame = captured.frame
            # What counts from each opening anew would come twice; by its time it is found again.
            yield f"frame {frame.name if capture.waits else _now()}", frame.image
        elif status.state is CaptureState.FAULT:
            if capture.waits:
                raise InputError(f"the camera failed after {taken} frames: {status.reason}")
            failed_at = failed_at or f"frame {_now()}"
            yield failed_at, f"camera fault: {status.reason}"


def _now() -> str:
    return f"{datetime.now(timezone.utc):%Y%m%dT%H%M%S.%fZ}"
