"""Pictures of one part that lies anywhere, at any angle."""

from __future__ import annotations

import base64
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.silhouette import find_part, shrink

SIZE = (240, 320)
BACKGROUND = 210
LENGTH, WIDTH = 120, 24


def key() -> NDArray[np.uint8]:
    """A bar with a head and a bright stripe, along x, in the middle of a square of 200 pixels."""
    image = np.full((200, 200), BACKGROUND, np.uint8)
    cv2.rectangle(image, (40, 88), (159, 111), 70, -1)
    cv2.circle(image, (150, 100), 26, 70, -1)
    cv2.rectangle(image, (60, 96), (100, 99), 140, -1)
    return image


def lying(
    x: float, y: float, angle: float, seed: int = 0, size: tuple[int, int] = SIZE
) -> NDArray[np.uint8]:
    """The key's square centred at (x, y), turned by `angle` degrees clockwise: uint8 [h, w, 3]."""
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    turned = np.array([[cos, -sin], [sin, cos]])
    place = np.column_stack((turned, np.array([x, y]) - turned @ (100.0, 100.0)))
    image = cv2.warpAffine(
        key(),
        place,
        size[::-1],
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(BACKGROUND,),
    ).astype(np.float32)
    image += np.random.default_rng(seed).normal(0, 2, size)
    return np.repeat(image.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


def anywhere(count: int, seed: int = 0) -> list[NDArray[np.uint8]]:
    """Keys at random places and angles."""
    random = np.random.default_rng(seed)
    return [
        lying(
            float(random.uniform(110, SIZE[1] - 110)),
            float(random.uniform(105, SIZE[0] - 105)),
            float(random.uniform(0, 360)),
            seed=index,
        )
        for index in range(count)
    ]


def alignment() -> dict[str, Any]:
    """An alignment to the key, as a bundle holds it: its window is the key along x."""
    part = find_part(shrink(lying(160, 120, 0)), (BACKGROUND,) * 3, 40)
    assert part is not None
    radius, area = 75, float(part.mask.mean())
    png = cv2.imencode(".png", part.polar(radius))[1].tobytes()
    return {
        "background": (BACKGROUND,) * 3,
        "contrast": 40,
        "area": (area / 2, 1.5 * area),
        "left": -86,
        "top": -34,
        "width": 160,
        "height": 68,
        "radius": radius,
        "polar": base64.b64encode(png).decode("ascii"),
    }
