"""USB video cameras (UVC) whose driver hands over a picture of which a part never came.

Older kernels drop such a picture. Since Linux 6.15 it is handed over, marked as faulty, unless the
driver's `nodrop` is 0, and later kernels know no other way. OpenCV does not look at the mark: where
the pixels are not compressed, what is missing is of the picture before, and a whole part is shown
with the half of another. A JPEG tells by itself that it is not whole.
"""

from __future__ import annotations

from pathlib import Path

SYSFS = Path("/sys")
DRIVER = "uvcvideo"
WHOLE = frozenset({"MJPG", "JPEG"})


def shows_incomplete(device: Path, pixel_format: str, sysfs: Path = SYSFS) -> bool:
    """Whether a camera at `device` may give a picture with a part of the one before, unnoticed.

    Args:
        device: its node, as /dev/video0, or a link to it.
        pixel_format: four letters.
        sysfs: where the kernel tells of its devices.
    """
    driver = sysfs / "class/video4linux" / device.resolve().name / "device/driver"
    if pixel_format in WHOLE or driver.resolve().name != DRIVER:
        return False
    try:
        return (sysfs / "module" / DRIVER / "parameters/nodrop").read_text().strip() != "0"
    except OSError:
        return True
