"""The view: what of a camera image the model sees, and how.

It is chosen once, when training starts, stored with the run and written to the bundle, so that
training, calibration, evaluation and the station see the same pixels:

    camera image -> region of interest -> 8 bits, BGR -> ignored pixels painted over
        -> the window that follows the part, where one does
        -> resized once, to the canvas -> tiles of the model's size, which overlap

A view of one tile has a canvas of the model's size. The agent prepares its frames the same way;
the two stages share no code so that either installs without the other, and a test holds them
together.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from training.alignment import Aligner, Alignment
from training.errors import InputError
from training.images import covered, resize_image
from training.seen import Seen, mask_at

# Ignored pixels are painted in one grey: whatever is there, the model sees the same.
PAINT = 128


class Roi(BaseModel):
    """A rectangle in camera pixels."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    x: int = Field(ge=0)
    y: int = Field(ge=0)
    width: int = Field(gt=0)
    height: int = Field(gt=0)

    def __str__(self) -> str:
        return f"{self.width}x{self.height} at {self.x},{self.y}"


class Tiles(BaseModel):
    """A grid of tiles, each one frame of the model; neighbours share `overlap` of its pixels."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: int = Field(1, ge=1)
    columns: int = Field(1, ge=1)
    overlap: int = Field(0, ge=0)

    def canvas_size(self, input_size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) that the grid covers, in pixels of the model."""
        height, width = input_size
        return (
            self.rows * height - (self.rows - 1) * self.overlap,
            self.columns * width - (self.columns - 1) * self.overlap,
        )


class ViewSettings(BaseModel):
    """A view without its ignore mask, which is a file of its own.

    Attributes:
        region_of_interest: in camera pixels; None for the whole image.
        image_size: (height, width) that every image must have; None where any size will do.
        ignore_mask: sha256 of the ignore mask's file; None without one.
        alignment: the window that follows the part within that; None: all of it is seen.
        tiles: grid over what is seen.
        window: levels of a 16-bit image that become 0 and 255; None for 8-bit images.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    region_of_interest: Roi | None = None
    image_size: tuple[int, int] | None = None
    ignore_mask: str | None = None
    alignment: Alignment | None = None
    tiles: Tiles = Tiles()
    window: tuple[int, int] | None = None


@dataclass(frozen=True)
class View:
    """A view in use.

    input_size: (height, width) of the model; ignored: bool, of the images' size, true where
    nothing is inspected; None where everything is.
    """

    input_size: tuple[int, int]
    settings: ViewSettings = ViewSettings()
    ignored: NDArray[np.bool_] | None = None

    @property
    def canvas_size(self) -> tuple[int, int]:
        """(height, width) of the image that is cut into tiles."""
        return self.settings.tiles.canvas_size(self.input_size)

    @cached_property
    def places(self) -> list[tuple[int, int]]:
        """Top left corners (y, x) of the tiles on the canvas, row by row.

        A tile with nothing to inspect is left out.
        """
        height, width = self.input_size
        tiles = self.settings.tiles
        ignored = self.ignored_on_canvas
        corners = [
            (row * (height - tiles.overlap), column * (width - tiles.overlap))
            for row in range(tiles.rows)
            for column in range(tiles.columns)
        ]
        if ignored is None:
            return corners
        return [(y, x) for y, x in corners if not ignored[y : y + height, x : x + width].all()]

    def seen(self, image: NDArray[Any], name: str) -> Seen:
        """What is seen of a camera image, uint8 or uint16 [h, w, 3] BGR.

        Raises InputError, with the `name` of the image, where it is not one that the view is for;
        NoPart, which is one, where the part is followed and the image shows none.
        """
        region = self.region(image, name)
        if self._aligner is None:
            canvas, to_region = resize_image(region, self.canvas_size), self._whole(region)
        else:
            pose = self._aligner.find(region, name)
            canvas, to_region = self._aligner.window(region, pose, self.canvas_size)
        return Seen(canvas, self._from_region(to_region))

    def region(self, image: NDArray[Any], name: str) -> NDArray[np.uint8]:
        """The region of interest, uint8 [h, w, 3], ignored pixels painted over; likewise."""
        region = to_8_bits(self._crop(image, name), self.settings.window, name)
        if self.ignored is None:
            return region
        return np.where(self._crop(self.ignored, name)[..., None], np.uint8(PAINT), region)

    def canvas(self, image: NDArray[Any], name: str) -> NDArray[np.uint8]:
        """The canvas alone, uint8 [H, W, 3]; InputError likewise."""
        return self.seen(image, name).canvas

    @cached_property
    def ignored_on_canvas(self) -> NDArray[np.bool_] | None:
        """Where nothing is inspected, bool [H, W]; None where everything is."""
        if self.ignored is None:
            return None
        region = self._crop(self.ignored, "ignore mask")
        return mask_at(region, self._whole(region), self.canvas_size)

    @cached_property
    def _aligner(self) -> Aligner | None:
        return None if self.settings.alignment is None else Aligner(self.settings.alignment)

    def _whole(self, region: NDArray[Any]) -> NDArray[np.float64]:
        """Where the canvas lies that shows all of a region."""
        rows, columns = self.canvas_size
        height, width = covered(region.shape[:2], self.canvas_size)
        return np.array([[width / columns, 0.0, 0.0], [0.0, height / rows, 0.0]])

    def _from_region(self, to_region: NDArray[np.float64]) -> NDArray[np.float64]:
        roi = self.settings.region_of_interest
        return to_region if roi is None else to_region + [[0, 0, roi.x], [0, 0, roi.y]]

    def cut(self, canvases: NDArray[Any]) -> NDArray[Any]:
        """Tiles [N * T, h, w, …] of canvases [N, H, W, …], those of one image together."""
        height, width = self.input_size
        tiles = [canvases[:, y : y + height, x : x + width] for y, x in self.places]
        return np.stack(tiles, axis=1).reshape(-1, height, width, *canvases.shape[3:])

    def _crop(self, image: NDArray[Any], name: str) -> NDArray[Any]:
        size, roi = self.settings.image_size, self.settings.region_of_interest
        if size is not None and image.shape[:2] != size:
            raise InputError(
                f"{name} is {image.shape[1]}x{image.shape[0]} pixels, the others {size[1]}x"
                f"{size[0]}: with a region of interest, an ignore mask or a part that is followed "
                "all must be of one size"
            )
        if roi is None:
            return image
        if roi.x + roi.width > image.shape[1] or roi.y + roi.height > image.shape[0]:
            raise InputError(
                f"the region of interest ({roi}) leaves {name}, "
                f"which is {image.shape[1]}x{image.shape[0]} pixels"
            )
        return image[roi.y : roi.y + roi.height, roi.x : roi.x + roi.width]


def to_8_bits(image: NDArray[Any], window: tuple[int, int] | None, name: str) -> NDArray[np.uint8]:
    """A uint8 image as it is; a uint16 one with the levels of `window` spread over 0..255.

    One fixed window for all images: stretched each by its own values, the same grey level would
    mean something else in every image. What lies outside becomes 0 or 255.

    Raises InputError where the depth is not the one that the window is for.
    """
    if (image.dtype == np.uint16) != (window is not None):
        depth, wanted = (16, 8) if window is None else (8, 16)
        raise InputError(f"{name} has {depth} bits a channel, expected {wanted} as in the others")
    if window is None:
        return image
    low, high = window
    levels = (np.arange(1 << 16) - low) * 255 / (high - low)
    return np.clip(np.round(levels), 0, 255).astype(np.uint8)[image]
