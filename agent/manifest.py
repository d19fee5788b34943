"""What a bundle says about itself."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

from agent.alignment import Alignment
from agent.imaging import Roi
from agent.names import Identifier

SCHEMA = 1
PRECISIONS = ("fp32", "fp16", "int8")
# A side of the grid, and of a frame in pixels: far more than any line can wait for.
MOST_TILES, MOST_SIDE = 100, 4096
Side = Annotated[int, Field(ge=1, le=MOST_SIDE)]


class Tolerance(BaseModel):
    """How far a precision may stray from the golden fp32 values, in logits.

    `score` bounds the largest absolute difference of a score; `map` bounds the mean absolute
    difference of the pixels of a frame's map, on the worst frame.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    score: float = Field(gt=0, allow_inf_nan=False)
    map: float = Field(gt=0, allow_inf_nan=False)


class Tiles(BaseModel):
    """A grid of tiles, each one frame of the model; neighbours share `overlap` of its pixels."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: int = Field(1, ge=1, le=MOST_TILES)
    columns: int = Field(1, ge=1, le=MOST_TILES)
    overlap: int = Field(0, ge=0)

    def canvas_size(self, input_size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) that the grid covers, in pixels of the model."""
        height, width = input_size
        return (
            self.rows * height - (self.rows - 1) * self.overlap,
            self.columns * width - (self.columns - 1) * self.overlap,
        )

    def corners(self, input_size: tuple[int, int]) -> list[tuple[int, int]]:
        """Top left corners (y, x) of all tiles, row by row."""
        height, width = input_size
        return [
            (row * (height - self.overlap), column * (width - self.overlap))
            for row in range(self.rows)
            for column in range(self.columns)
        ]


class TrainingImages(BaseModel):
    """What the images of good parts were like that a model was trained on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: tuple[PositiveInt, PositiveInt] | None = Field(
        description="(height, width) of them all; None where they vary"
    )
    coloured: bool = Field(description="whether every one had colours")


class Manifest(BaseModel):
    """What a bundle says about itself; stored as `manifest.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_version: int = Field(alias="schema", description="version of this format")
    product: Identifier = Field(description="the product that the model inspects")
    preset: str = Field(description="the training preset")
    input_size: tuple[Side, Side] = Field(description="(height, width) of the graph's frame")
    region_of_interest: Roi | None = Field(None, description="in camera pixels; None for all")
    image_size: tuple[int, int] | None = Field(
        None, description="(height, width) that every camera image must have; None for any"
    )
    ignore_mask: str | None = Field(
        None, description="member, a PNG of the camera's size, white where nothing is inspected"
    )
    alignment: Alignment | None = Field(
        None, description="the window that follows the part; None where none does"
    )
    tiles: Tiles = Field(Tiles(), description="grid of frames over what is seen of the image")
    window: tuple[int, int] | None = Field(
        None, description="levels of 16-bit images that become 0 and 255; None for 8-bit images"
    )
    pixels: int = Field(
        1, ge=1, description="the version of agent.pixels that the model was trained with"
    )
    grey: bool = Field(
        False,
        description="whether the model knows no colours; images that have any are refused",
    )
    score_pixels: int | None = Field(
        None, ge=1, description="how many of a frame's largest logits make its score"
    )
    score_square: int = Field(
        1, ge=1, description="side of the squares of pixels whose mean logits are meant by that"
    )
    score_window: None = Field(None, description="always null; earlier versions had it")
    training_images: TrainingImages | None = Field(
        None, description="None in bundles of before this was noted"
    )
    training_data_digest: str = Field(description="sha256 over the training images")
    code_version: str = Field(description="the normline that made the bundle")
    created_at: str = Field(description="UTC, ISO 8601")
    tolerances: dict[str, Tolerance] = Field(description="by precision, against golden values")
    members: dict[str, str] = Field(description="sha256 of every other member, by name")

    @model_validator(mode="after")
    def _check_view(self) -> Manifest:
        if self.ignore_mask is not None and None in (self.image_size, self.score_pixels):
            raise ValueError("an ignore mask needs image_size and score_pixels beside it")
        if self.ignore_mask is not None and self.alignment is not None:
            raise ValueError("an ignore mask does not follow the part: no alignment beside it")
        if self.tiles.overlap > min(self.input_size) // 2:
            raise ValueError("tiles may overlap by half of a frame at most")
        if self.window is not None and not 0 <= self.window[0] < self.window[1] < 1 << 16:
            raise ValueError("the window must rise within 0 to 65535")
        return self
