"""Choosing the view of a product from what the user asks and what the images are like."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from training.alignment import Alignment
from training.errors import InputError
from training.fixturing import choose_alignment
from training.images import drawn, read_image, read_mask, resize_image
from training.synthesis.foreground import find_foregrounds
from training.tiling import choose_tiles, grid
from training.view import Tiles, View, ViewSettings
from training.wish import MAX_TILES, ViewWish

# Images looked at before all are read.
SURVEYED = 64
DEPTHS = (10, 12, 14, 16)
# Hot pixels are fewer of a picture's. A glint may be so much brighter than all that was looked at,
# unless that reaches the end of the camera's range.
FEW, HEADROOM = 1e-3, 1.25
# Deviation, in pixels of twice the model's, of what counts as around a place.
SURROUNDINGS = 12


def choose_view(
    wish: ViewWish, paths: Sequence[Path], input_size: tuple[int, int], say: Callable[[str], None]
) -> View:
    """The view for images of good parts; `say` gets a line for every decision.

    Raises InputError where the wish does not fit the images.
    """
    survey = _Survey.of(paths)
    image_size = None
    if wish.roi is not None or wish.ignore_mask is not None:
        image_size = survey.one_size()
    elif survey.smallest != survey.largest:
        say(
            f"sizes vary, from {_size(survey.smallest)} to {_size(survey.largest)} pixels: "
            "every image is resized alike, as if of one size"
        )
    whole = ViewSettings(
        region_of_interest=wish.roi, image_size=image_size, window=_window(wish, survey, say)
    )

    alignment = _alignment(wish, survey, paths, whole, say)
    if alignment is not None:
        whole = whole.model_copy(update={"image_size": survey.largest, "alignment": alignment})

    def part_share() -> float | None:
        return None if alignment else _part_share(paths, View(input_size, whole))

    def detail_lost(canvas: tuple[int, int]) -> float:
        return _detail_lost(paths, whole, canvas)

    settings = whole.model_copy(
        update={
            "ignore_mask": None if wish.ignore_mask is None else _sha256(wish.ignore_mask),
            "tiles": _tiles(wish, _region(survey, whole), input_size, part_share, detail_lost, say),
        }
    )
    ignored = None
    if wish.ignore_mask is not None:
        assert image_size is not None
        ignored = read_mask(wish.ignore_mask, image_size)
    view = View(input_size, settings, ignored)
    if not view.places:
        raise InputError("the ignore mask covers all that the model would see: nothing is left")
    if view.ignored_on_canvas is not None:
        share = view.ignored_on_canvas.mean()
        say(f"{share:.1%} of the picture is not inspected, where the ignore mask is white")
    return view


@dataclass(frozen=True)
class _Survey:
    """What some of the images are like: (height, width)s, by area, and levels.

    bright: of 16-bit images, the level that no more than `FEW` of any one's pixels exceed, and
    brightest: that none exceeds; None where they have 8 bits.
    """

    smallest: tuple[int, int]
    median: tuple[int, int]
    largest: tuple[int, int]
    bright: int | None
    brightest: int | None

    @classmethod
    def of(cls, paths: Sequence[Path]) -> _Survey:
        sizes, bright, brightest = [], [], []
        for path in _some(paths):
            image = read_image(path)
            sizes.append((image.shape[0], image.shape[1]))
            if image.dtype == np.uint16:
                bright.append(int(np.quantile(image, 1 - FEW, method="lower")))
                brightest.append(int(image.max()))
        # By height too: the smallest is the largest only where all are of one size.
        sizes.sort(key=lambda size: (size[0] * size[1], size[0]))
        height, width = np.median(sizes, axis=0)
        middle = (round(height), round(width))
        levels = max(bright, default=None), max(brightest, default=None)
        return cls(sizes[0], middle, sizes[-1], *levels)

    def one_size(self) -> tuple[int, int]:
        if self.smallest != self.largest:
            raise InputError(
                "a region of interest or an ignore mask is in camera pixels, but the images are "
                f"of several sizes, from {_size(self.smallest)} to {_size(self.largest)}: give "
                "images as the camera takes them"
            )
        return self.largest


def _alignment(
    wish: ViewWish,
    survey: _Survey,
    paths: Sequence[Path],
    whole: ViewSettings,
    say: Callable[[str], None],
) -> Alignment | None:
    """The window that follows the part; none where sizes vary, or a mask lies on the picture."""
    if not wish.align or wish.ignore_mask is not None or survey.smallest != survey.largest:
        return None
    view = View(survey.largest, whole)
    found = choose_alignment(view.region(read_image(path), str(path)) for path in _some(paths))
    if found is not None:
        turned = ", and turned back" if found.polar else ""
        say(
            f"the part is followed wherever it lies{turned}: a window of {found.width}x"
            f"{found.height} pixels around it is inspected (`normline train --align off` overrules "
            "this)"
        )
    return found


def _region(survey: _Survey, whole: ViewSettings) -> tuple[int, int]:
    """(height, width) of what is seen, in camera pixels."""
    if whole.alignment is not None:
        return whole.alignment.height, whole.alignment.width
    roi = whole.region_of_interest
    return survey.median if roi is None else (roi.height, roi.width)


def _some(paths: Sequence[Path]) -> Sequence[Path]:
    return [paths[index] for index in drawn(len(paths), SURVEYED)]


def _tiles(
    wish: ViewWish,
    region: tuple[int, int],
    input_size: tuple[int, int],
    part_share: Callable[[], float | None],
    detail_lost: Callable[[tuple[int, int]], float],
    say: Callable[[str], None],
) -> Tiles:
    overlap = round(wish.overlap * min(input_size))
    if wish.grid is None:
        tiles, because = choose_tiles(region, input_size, overlap, part_share(), detail_lost)
        if tiles.rows * tiles.columns > MAX_TILES:
            raise InputError(
                f"{_size(region)} pixels would take {tiles.rows}x{tiles.columns} tiles, more than "
                f"{MAX_TILES}: give --tiles, a larger --size, or an --roi of another shape"
            )
    else:
        tiles, because = grid(*wish.grid, overlap), "as asked"
    canvas = tiles.canvas_size(input_size)
    zoom_y, zoom_x = region[0] / canvas[0], region[1] / canvas[1]
    say(
        f"{_size(region)} pixels in {tiles.rows}x{tiles.columns} tiles (rows x columns): {because};"
        f" one pixel of the model stands for {zoom_x:.2f} x {zoom_y:.2f} of the camera"
    )
    return tiles


def _part_share(paths: Sequence[Path], whole: View) -> float | None:
    """How much of the picture the part fills; None where there is no plain background."""
    images = [whole.canvas(read_image(path), str(path)) for path in _some(paths)]
    found = find_foregrounds(np.stack(images))
    return None if found is None else float(found.mean())


def _detail_lost(paths: Sequence[Path], whole: ViewSettings, canvas: tuple[int, int]) -> float:
    """How much of what varies from place to place a canvas of (height, width) does not show.

    Compared with one of twice its sides: root mean squares, of that less this, and of that less
    its surroundings.
    """
    height, width = canvas
    twice = View((2 * height, 2 * width), whole)
    shares = []
    for path in _some(paths):
        fine = twice.canvas(read_image(path), str(path))
        coarse = cv2.resize(resize_image(fine, canvas), fine.shape[1::-1])
        around = cv2.GaussianBlur(fine, (0, 0), SURROUNDINGS)
        shares.append(cv2.norm(fine, coarse) / max(1.0, cv2.norm(fine, around)))
    return float(np.median(shares))


def _window(wish: ViewWish, survey: _Survey, say: Callable[[str], None]) -> tuple[int, int] | None:
    if survey.bright is None or survey.brightest is None:
        if wish.window is not None:
            raise InputError("--window is for 16-bit images, and these have 8 bits a channel")
        return None
    if wish.window is not None:
        return wish.window
    # Cameras of 10 and 12 bits fill the lower bits of 16: taken whole, they would be near black.
    bits = next(bits for bits in DEPTHS if survey.bright < 1 << bits)
    high, taken = (1 << bits) - 1, f"taken as {bits} bits"
    roomy = min(round(survey.bright * HEADROOM), (1 << 16) - 1)
    if high < roomy and high not in (survey.bright, survey.brightest):
        high, taken = roomy, "with room above"
    lost = f", and what is brighter, up to {survey.brightest}, 255" * (survey.brightest > high)
    say(
        f"16-bit images with levels up to {survey.bright}: {taken}, 0 to {high} become 0 to 255"
        f"{lost}, in every image alike (--window overrules this)"
    )
    return 0, high


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"cannot read the ignore mask {path}: {error.strerror}") from error


def _size(size: tuple[int, int]) -> str:
    """As it is said: width before height."""
    return f"{size[1]}x{size[0]}"
