"""The view: what of a camera image the model sees, and how; chosen at training, kept in the bundle.

    camera image -> region of interest -> 8 bits, BGR -> ignored pixels painted over
        -> the window that follows the part, where one does
        -> resized once, to the canvas -> tiles of the model's size, which overlap

Calibration, evaluation and the station all prepare their images here, so that a threshold holds
for exactly the pixels that it was taken from. A view of one tile has a canvas of the model's size.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.alignment import Aligner, Alignment
from agent.bundle import Bundle
from agent.errors import InputError
from agent.imaging import Roi, check_image, covered, decode_mask, is_grey, resize, to_bgr8
from agent.manifest import Tiles
from agent.seen import Seen, mask_at

# Ignored pixels are painted in one grey: whatever is there, the model sees the same.
PAINT = 128
# By so much the shapes of images may differ, as 1088 lines do from 1080.
SQUEEZED = 1.02


@dataclass(frozen=True)
class View:
    """A view in use.

    Attributes:
        input_size: (height, width) of the model.
        roi: the part of the image to inspect; the whole image when None.
        image_size: (height, width) that every image must have; None where any size will do.
        ignored: bool, of the images' size, true where nothing is inspected; None: nowhere.
        tiles: grid over what is seen.
        window: levels of a 16-bit image that become 0 and 255; None for 8-bit images.
        grey: whether images must be without colours, as the model sees none.
        coloured: whether they must have some, as all that the model was trained on had.
        trained_size: (height, width) of those; images of another shape are refused. None for any.
        score_pixels: how many of a frame's largest logits make its score, each the mean of
            score_square x score_square pixels. Where some pixels are ignored, the score is taken
            over the others.
        alignment: the window that follows the part; None: all of the region is seen.
    """

    input_size: tuple[int, int]
    roi: Roi | None = None
    image_size: tuple[int, int] | None = None
    ignored: NDArray[np.bool_] | None = None
    tiles: Tiles = Tiles()
    window: tuple[int, int] | None = None
    grey: bool = False
    score_pixels: int | None = None
    score_square: int = 1
    alignment: Alignment | None = None
    coloured: bool = False
    trained_size: tuple[int, int] | None = None

    @classmethod
    def of(cls, bundle: Bundle) -> View:
        """The view that a bundle's model was trained on.

        Raises:
            InputError: the ignore mask cannot be read, or is of another size than the images.
        """
        manifest = bundle.manifest
        trained_on = manifest.training_images
        ignored = None
        if manifest.ignore_mask is not None:
            ignored = decode_mask(bundle.member(manifest.ignore_mask), manifest.ignore_mask)
        view = cls(
            manifest.input_size,
            manifest.region_of_interest,
            manifest.image_size,
            ignored,
            manifest.tiles,
            manifest.window,
            manifest.grey,
            manifest.score_pixels,
            manifest.score_square,
            manifest.alignment,
            trained_on is not None and trained_on.coloured,
            None if trained_on is None else trained_on.size,
        )
        if not view.places:
            raise InputError(f"{bundle.path}: the ignore mask covers all: nothing is inspected")
        return view

    @property
    def canvas_size(self) -> tuple[int, int]:
        """(height, width) of the image that is cut into tiles."""
        return self.tiles.canvas_size(self.input_size)

    @cached_property
    def places(self) -> list[tuple[int, int]]:
        """Top left corners (y, x) of the tiles on the canvas, row by row.

        A tile with nothing to inspect is left out.
        """
        height, width = self.input_size
        corners = self.tiles.corners(self.input_size)
        ignored = self.ignored_on_canvas
        if ignored is None:
            return corners
        return [(y, x) for y, x in corners if not ignored[y : y + height, x : x + width].all()]

    @cached_property
    def ignored_on_canvas(self) -> NDArray[np.bool_] | None:
        """Where nothing is inspected, bool [H, W] of the canvas; None: nowhere."""
        if self.ignored is None:
            return None
        region = self._crop(self.ignored, "the ignore mask")
        return mask_at(region, self._whole(region), self.canvas_size)

    @cached_property
    def _inspected(self) -> NDArray[np.uint8] | None:
        """Of the region of interest, 1 where something is inspected; None: everywhere."""
        if self.ignored is None:
            return None
        return np.asarray(~self._crop(self.ignored, "the ignore mask"), np.uint8)

    @cached_property
    def _aligner(self) -> Aligner | None:
        return None if self.alignment is None else Aligner(self.alignment)

    def seen(self, image: NDArray[Any], name: str = "the image") -> Seen:
        """What is seen of a camera image.

        Args:
            image: uint8 or uint16, [h, w], [h, w, 1] or [h, w, 3] BGR.
            name: of the image, for what is said of it.

        Raises:
            NoPart: the window would follow a part, and the image shows none.
            InputError: another shape, size or depth than the model was trained on, colours where
                there were none, or a region of interest outside the image.
        """
        check_image(image, name)
        self._check_shape(image, name)
        region = to_bgr8(self._crop(image, name), self.window, name)
        if self._inspected is not None:
            painted = np.full_like(region, PAINT)
            region = np.asarray(cv2.copyTo(region, self._inspected, painted), np.uint8)
        if self._aligner is None:
            canvas, to_region = resize(region, self.canvas_size), self._whole(region)
        else:
            pose = self._aligner.find(region, name)
            canvas, to_region = self._aligner.window(region, pose, self.canvas_size)
        if self.grey and not is_grey(canvas):
            raise InputError(
                f"{name} is in colour, the training images were grey: set the camera as it was"
            )
        return Seen(canvas, self._from_region(to_region))

    def canvas(self, image: NDArray[Any], name: str = "the image") -> NDArray[np.uint8]:
        """The canvas alone; raises likewise."""
        return self.seen(image, name).canvas

    def _check_shape(self, image: NDArray[Any], name: str) -> None:
        """Shown squeezed, a part would be another one; more or fewer pixels of it are no matter."""
        if self.trained_size is None:
            return
        (height, width), (rows, columns) = image.shape[:2], self.trained_size
        if not 1 / SQUEEZED < width * rows / (height * columns) < SQUEEZED:
            raise InputError(
                f"{name} is {width}x{height} pixels, the training images were {columns}x{rows}, of "
                "another shape: set the camera as it was"
            )

    def _whole(self, region: NDArray[Any]) -> NDArray[np.float64]:
        """Where the canvas lies that shows all of a region."""
        rows, columns = self.canvas_size
        height, width = covered(region.shape[:2], self.canvas_size)
        return np.array([[width / columns, 0.0, 0.0], [0.0, height / rows, 0.0]])

    def _from_region(self, to_region: NDArray[np.float64]) -> NDArray[np.float64]:
        roi = self.roi
        return to_region if roi is None else to_region + [[0, 0, roi.x], [0, 0, roi.y]]

    def _crop(self, image: NDArray[Any], name: str) -> NDArray[Any]:
        if self.image_size is not None and image.shape[:2] != self.image_size:
            found = "x".join(map(str, image.shape[1::-1]))
            raise InputError(
                f"{name} is {found} pixels, the training images were "
                f"{self.image_size[1]}x{self.image_size[0]}: set the camera as it was"
            )
        roi = self.roi
        if roi is None:
            return image
        if roi.y + roi.height > image.shape[0] or roi.x + roi.width > image.shape[1]:
            raise InputError(
                f"the region of interest ({roi.width}x{roi.height} at {roi.x},{roi.y}) leaves "
                f"{name} of {image.shape[1]}x{image.shape[0]} pixels: set the camera as it was for "
                "the training images"
            )
        return image[roi.y : roi.y + roi.height, roi.x : roi.x + roi.width]
