"""Which mirror images and turns of the part are good parts too, found from the good parts.

A texture looks the same upside down; a stamped letter does not. Assumed wrongly, a flip teaches
the network that a part mounted the wrong way round is good; not used where it is true, three
quarters of what the images could teach is lost.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from training.images import some

# How much further from the other good images a flipped image may lie than an image as it is.
TOLERANCE = 1.1
# The distance to the nearest quarter of them: the very nearest may be another shot of one part.
NEAREST = 0.25
SAMPLE = 200
SIDE = 32

FLIPS: dict[str, int] = {"left-right": 1, "top-bottom": 0, "half turn": -1}


def find_flips(images: NDArray[np.uint8], places: int = 1) -> list[str]:
    """Names in `FLIPS` under which good images uint8 [N, H, W, 3] stay good.

    Thumbnails are compared: a flip is a symmetry of the product where flipped images lie about as
    near to the other images as these lie to each other. Of tiles from `places` places of a part,
    only those of one place can be alike.
    """
    nearest = NEAREST / places
    sample = some(images, SAMPLE)
    as_is = _features(sample)
    limit = TOLERANCE * _spread(as_is, as_is, nearest)
    found = []
    for name, code in FLIPS.items():
        flipped = np.stack([cv2.flip(image, code) for image in sample])
        if _spread(_features(flipped), as_is, nearest) <= limit:
            found.append(name)
    return found


def _features(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Thumbnails [N, SIDE * SIDE] with their mean light taken out: light moves, the part does not.

    The strength of the vertical and the horizontal detail stands beside the tones, so that grain
    too fine for a thumbnail still has its direction.
    """
    rows = []
    for image in images:
        grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float32)
        planes = [grey - grey.mean()]
        for dx, dy in ((1, 0), (0, 1)):
            planes.append(np.abs(cv2.Sobel(grey, cv2.CV_32F, dx, dy, ksize=3)))
        rows.append(
            np.concatenate(
                [cv2.resize(p, (SIDE, SIDE), interpolation=cv2.INTER_AREA).ravel() for p in planes]
            )
        )
    return np.stack(rows)


def _spread(queries: NDArray[np.float32], others: NDArray[np.float32], nearest: float) -> float:
    """How far query i lies from the `nearest` share of the others, itself (number i) left out."""
    squared = (queries**2).sum(1)[:, None] + (others**2).sum(1)[None, :] - 2.0 * queries @ others.T
    np.fill_diagonal(squared, np.nan)
    near = np.nanquantile(np.sqrt(np.maximum(squared, 0.0)), nearest, axis=1)
    return float(np.median(near))
