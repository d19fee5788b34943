"""The stamped mark: letters as strokes, so that they look the same under every OpenCV."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

from agent.camera.product.geometry import (
    BOLT_CIRCLE,
    CENTRE,
    SIZE,
    SUPERSAMPLING,
    Layer,
    average_down,
)

TEXT = "NL-40"
AT = (CENTRE, CENTRE + BOLT_CIRCLE - 1)
BOX = (68.0, 19.0)
"""Width and height, px."""
LETTER, GAP, HEIGHT = 9.0, 3.6, 13.0
STROKE = 2.0
DEPTH, LIP = 0.38, 0.16

# Polylines on a grid 2 wide and 4 high, y down.
Stroke = list[tuple[float, float]]
GLYPHS: dict[str, list[Stroke]] = {
    "N": [[(0, 4), (0, 0), (2, 4), (2, 0)]],
    "L": [[(0, 0), (0, 4), (2, 4)]],
    "-": [[(0.2, 2), (1.8, 2)]],
    "4": [[(1.5, 4), (1.5, 0), (0, 2.8), (2, 2.8)]],
    "0": [
        [(0.4, 0), (1.6, 0), (2, 0.6), (2, 3.4), (1.6, 4), (0.4, 4), (0, 3.4), (0, 0.6), (0.4, 0)]
    ],
    "E": [[(2, 0), (0, 0), (0, 4), (2, 4)], [(0, 2), (1.6, 2)]],
    "H": [[(0, 0), (0, 4)], [(2, 0), (2, 4)], [(0, 2), (2, 2)]],
    "K": [[(0, 0), (0, 4)], [(2, 0), (0, 2.2), (2, 4)]],
    "T": [[(0, 0), (2, 0)], [(1, 0), (1, 4)]],
    "X": [[(0, 0), (2, 4)], [(2, 0), (0, 4)]],
    "7": [[(0, 0), (2, 0), (0.8, 4)]],
    "2": [[(0, 0.6), (0.5, 0), (1.5, 0), (2, 0.6), (2, 1.4), (0, 4), (2, 4)]],
}
WRONG = tuple("EHKTX72")


@cache
def perfect() -> Layer:
    """Brightness that the right mark adds to the part."""
    return stamp(TEXT)


def stamp(text: str) -> Layer:
    """Brightness that a mark adds to the part: dark strokes with a lit lower lip."""
    large = np.zeros((SIZE * SUPERSAMPLING,) * 2, np.uint8)
    left = AT[0] - (len(text) * LETTER + (len(text) - 1) * GAP) / 2
    for place, letter in enumerate(text):
        corner = np.array([left + place * (LETTER + GAP), AT[1] - HEIGHT / 2])
        for stroke in GLYPHS[letter]:
            points = corner + np.array(stroke) * (LETTER / 2, HEIGHT / 4)
            pixels = np.round((points + 0.5) * SUPERSAMPLING - 0.5).astype(np.int32)
            cv2.polylines(large, [pixels], False, 255, round(STROKE * SUPERSAMPLING))
    strokes = average_down(large) / 255
    lip = average_down(np.roll(large, (SUPERSAMPLING, SUPERSAMPLING), (0, 1))) / 255
    relief = LIP * np.clip(lip - strokes, 0, 1) - DEPTH * strokes
    return relief.astype(np.float32)
