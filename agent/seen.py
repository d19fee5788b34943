"""What the model sees of an image, and where in the image that lies."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Seen:
    """What the model sees of an image.

    Attributes:
        canvas: uint8 [H, W, 3] BGR, C-contiguous.
        to_image: [2, 3], where it lies: from its pixels to the image's, both counted from the
            first one's edge.
    """

    canvas: NDArray[np.uint8]
    to_image: NDArray[np.float64]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of what is seen, in pixels of the image."""
        width, height = np.hypot(*self.to_image[:, :2]) * self.canvas.shape[1::-1]
        return round(height), round(width)

    def mask(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """A mask of the image, bool [h, w], on the canvas: bool [H, W].

        What is thinner than its pixels is every one that any of it lies in: sampled, a scratch
        would be a row of dots, or gone.
        """
        size = self.canvas.shape[0], self.canvas.shape[1]
        width, height = np.ceil(np.hypot(*self.to_image[:, :2])).astype(int).tolist()
        pixel = np.ones((height, width), np.uint8)
        thick = cv2.morphologyEx(mask.view(np.uint8), cv2.MORPH_OPEN, pixel)
        thin = mask & (cv2.dilate(thick, np.ones((3, 3), np.uint8)) == 0)
        return mask_at(mask, self.to_image, size) | _touched(thin, self.to_image, size)


def mask_at(
    mask: NDArray[np.bool_], to_image: NDArray[np.float64], size: tuple[int, int]
) -> NDArray[np.bool_]:
    """What a canvas of `size` shows of an image's mask: the nearest pixel; beside it nothing.

    Up to half a pixel of the canvas beyond its end the image's last ones show again.
    """
    rows, columns = np.mgrid[: size[0], : size[1]] + 0.5
    x, y = (np.floor(a * columns + b * rows + c + 1e-9).astype(np.intp) for a, b, c in to_image)
    height, width = mask.shape
    beyond_x, beyond_y = np.hypot(*to_image[:, :2]) / 2
    within = (x >= 0) & (x < width + beyond_x) & (y >= 0) & (y < height + beyond_y)
    return within & mask[y.clip(0, height - 1), x.clip(0, width - 1)]


def _touched(
    mask: NDArray[np.bool_], to_image: NDArray[np.float64], size: tuple[int, int]
) -> NDArray[np.bool_]:
    """The pixels of a canvas of `size` that the centre of any marked pixel of the image lies in."""
    rows, columns = np.nonzero(mask)
    there = np.stack((columns, rows)) + 0.5 - to_image[:, 2:]
    x, y = np.floor(np.linalg.solve(to_image[:, :2], there)).astype(np.intp)
    within = (x >= 0) & (x < size[1]) & (y >= 0) & (y < size[0])
    touched = np.zeros(size, np.bool_)
    touched[y[within], x[within]] = True
    return touched
