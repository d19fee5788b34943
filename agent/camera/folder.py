"""A folder of image files as a camera, in sorted order: recorded parts pass the line again."""

from __future__ import annotations

import time
from pathlib import Path

from pydantic import Field

from agent.camera.base import Camera, EndOfStream, Frame, Pace, Settings
from agent.camera.rehearsal import RehearsalOptions, rehearse
from agent.camera.uri import CameraUri
from agent.imaging import list_images, read_image


class FolderOptions(RehearsalOptions):
    rate: float = Field(2, ge=0, le=1000, description="images a second; 0: as fast as asked")
    loop: bool = Field(False, description="start again after the last image")


class FolderCamera(Camera):
    """Gives every image once, in order; the name of a frame is its path below the folder."""

    waits = True

    def __init__(self, folder: Path, options: FolderOptions) -> None:
        self._folder = folder
        self._images = list_images(folder)
        self._loop = options.loop
        self._pace = Pace(options.rate)
        self._frame_id = 0
        self.period_s = self._pace.period_s

    def read(self) -> Frame:
        """The next image; raises InputError for a file that cannot be read, as none can help."""
        if self._frame_id >= len(self._images) and not self._loop:
            raise EndOfStream
        path = self._images[self._frame_id % len(self._images)]
        self._pace.wait()
        image = read_image(path)
        name = path.relative_to(self._folder).as_posix()
        frame = Frame(image, self._frame_id, name, time.monotonic_ns())
        self._frame_id += 1
        return frame

    def settings(self) -> Settings:
        return {"scheme": "folder"}


def open_folder(uri: CameraUri) -> Camera:
    """A camera for `folder:///path?rate=2&loop=false`.

    Raises:
        InputError: the folder is missing or holds no image.
    """
    options = uri.options(FolderOptions)
    return rehearse(FolderCamera(Path(uri.local_path()), options), options)
