"""Pictures inside a report: a part beside what the model finds odd on it."""

from __future__ import annotations

import base64

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.normals import Shown

WIDEST = 320
JPEG_QUALITY = 88
HEAT_SHARE = 0.6


def picture_pair(shown: Shown, pixel_limit: float, least: float) -> tuple[str, str]:
    """Data URIs of the part, and of the part with its map.

    Args:
        shown: the part.
        pixel_limit: a region reaches as far as the map is above this; drawn as an outline.
        least: where the colours of the map begin.
    """
    anomaly_map = shown.anomaly_map
    span = max(pixel_limit - least, 1e-6)
    heat = np.clip((anomaly_map - least) / span, 0, 1)  # 0 where nothing is inspected
    colours = cv2.applyColorMap((heat * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
    opacity = HEAT_SHARE * heat[..., None]
    mixed = (shown.canvas * (1 - opacity) + colours * opacity).astype(np.uint8)
    above = (anomaly_map > pixel_limit).astype(np.uint8)
    outlines, _ = cv2.findContours(above, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    cv2.drawContours(mixed, outlines, -1, (255, 255, 0), 1)
    return _data_uri(shown.canvas), _data_uri(mixed)


def _data_uri(image: NDArray[np.uint8]) -> str:
    height, width = image.shape[:2]
    if width > WIDEST:
        size = WIDEST, max(1, round(height * WIDEST / width))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()
    return "data:image/jpeg;base64," + base64.b64encode(data).decode("ascii")
