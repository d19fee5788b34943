"""Cameras: every source of frames behind one small interface, opened by its address."""

from __future__ import annotations

from agent.camera import uri as address
from agent.camera.base import (
    Camera,
    CameraFault,
    EndOfStream,
    Frame,
    Settings,
    is_same,
    settings_digest,
)
from agent.camera.folder import open_folder
from agent.camera.rtsp import open_rtsp
from agent.camera.synthetic import open_synthetic
from agent.camera.v4l2 import open_v4l2
from agent.camera.video import open_video
from agent.errors import InputError

__all__ = [
    "Camera",
    "CameraFault",
    "EndOfStream",
    "Frame",
    "Settings",
    "is_same",
    "open_camera",
    "settings_digest",
]

OPENERS = {
    "synthetic": open_synthetic,
    "folder": open_folder,
    "file": open_video,
}
LIVE_OPENERS = {"v4l2": open_v4l2, "rtsp": open_rtsp, "rtsps": open_rtsp}


def open_camera(uri: str, *, every_frame: bool = False) -> Camera:
    """Open a camera and see that it delivers.

    Args:
        uri: one of
            `synthetic://?rate=30&defect_rate=0.1&seed=1&parts=300&wait=false`: rendered parts;
            `folder:///path?rate=2&loop=false`: image files in sorted order;
            `file:///video.mp4?rate=25&loop=false`: a video file;
            `v4l2:///dev/video0?width=1280&height=720&fps=30&exposure=157&gain=0`: a USB camera;
            `rtsp://user:password@host/path`: a network camera.
        every_frame: a live camera's own trigger makes its frames: each is a part, and there is
            none to see when it opens.

    Raises:
        InputError: the address is wrong, or the camera does not open or gives no first frame.
    """
    parsed = address.parse(uri)
    if parsed.scheme in LIVE_OPENERS:
        return LIVE_OPENERS[parsed.scheme](parsed, every_frame=every_frame)
    opener = OPENERS.get(parsed.scheme)
    if opener is None:
        schemes = ", ".join((*OPENERS, *LIVE_OPENERS))
        raise InputError(f"no camera of scheme {parsed.scheme}: choose one of {schemes}")
    return opener(parsed)
