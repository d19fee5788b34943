"""The view is chosen from what the user asks and what the images are like, and said aloud."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.posed import anywhere
from training.errors import InputError
from training.framing import choose_view
from training.images import list_images
from training.view import Roi, Tiles, View
from training.wish import ViewWish


def write(folder: Path, *sizes: tuple[int, int], dtype: type = np.uint8, top: int = 255) -> Path:
    random = np.random.default_rng(0)
    for index, size in enumerate(sizes):
        image = random.integers(0, top + 1, size).astype(dtype)
        image[0, 0] = top
        assert cv2.imwrite(str(folder / f"{index}.png"), image)
    return folder


def chosen(folder: Path, wish: ViewWish | None = None) -> tuple[View, str]:
    said: list[str] = []
    view = choose_view(wish or ViewWish(), list_images(folder), (64, 64), said.append)
    return view, "\n".join(said)


def test_the_choice_is_said_with_its_reason(tmp_path: Path) -> None:
    view, said = chosen(write(tmp_path, *[(160, 64)] * 3))
    assert view.settings.tiles == Tiles(rows=3, columns=1, overlap=8)
    assert "64x160 pixels in 3x1 tiles" in said and "square" in said


def small_discs(folder: Path, radius: int) -> Path:
    """Grey discs that lie anywhere on a plain light ground, 160 x 160 pixels."""
    random = np.random.default_rng(1)
    for index in range(8):
        image = np.full((160, 160), 220, np.uint8)
        x, y = (int(v) for v in random.integers(radius + 8, 152 - radius, 2))
        cv2.circle(image, (x, y), radius, (70,), -1)
        assert cv2.imwrite(str(folder / f"{index}.png"), image)
    return folder


@pytest.mark.parametrize(("radius", "tiles"), [(25, "2x2"), (60, "1x1")], ids=["small", "large"])
def test_a_small_part_is_seen_larger(radius: int, tiles: str, tmp_path: Path) -> None:
    """A bent tip of three pixels is nothing that a model could learn; of six, it is."""
    _, said = chosen(small_discs(tmp_path, radius), ViewWish(align=False))
    assert f"160x160 pixels in {tiles} tiles" in said
    assert ("the part fills" in said) is (tiles == "2x2")


@pytest.mark.parametrize(("detail", "tiles"), [(1, "2x2"), (9, "1x1")], ids=["fine", "coarse"])
def test_pictures_of_fine_detail_are_seen_larger(detail: int, tiles: str, tmp_path: Path) -> None:
    """A picture of 192 pixels, shown in 64: grain of one pixel is lost, grain of nine is not."""
    random = np.random.default_rng(0)
    for index in range(4):
        grain = cv2.GaussianBlur(random.normal(0, 1, (192, 192)), (0, 0), detail)
        levels = 128 + 40 * grain / grain.std()
        cv2.imwrite(str(tmp_path / f"{index}.png"), levels.clip(0, 255).astype(np.uint8))
    _, said = chosen(tmp_path)
    assert f"192x192 pixels in {tiles} tiles" in said
    assert ("of the detail would be lost in fewer" in said) is (tiles == "2x2")


def test_a_part_that_is_turned_is_followed_and_the_window_decides_the_tiles(tmp_path: Path) -> None:
    for index, picture in enumerate(anywhere(12)):
        cv2.imwrite(str(tmp_path / f"{index}.png"), picture)
    view, said = chosen(tmp_path)
    assert "the part is followed wherever it lies, and turned back" in said
    assert view.settings.alignment is not None and view.settings.image_size == (240, 320)
    assert view.settings.tiles.rows == 1 and view.settings.tiles.columns > 1
    view, said = chosen(tmp_path, ViewWish(align=False))
    assert view.settings.alignment is None and "followed" not in said


def test_with_an_ignore_mask_the_part_is_not_followed(tmp_path: Path) -> None:
    """The mask lies on the picture, where the camera has it; the part does not."""
    (tmp_path / "parts").mkdir()
    for index, picture in enumerate(anywhere(12)):
        cv2.imwrite(str(tmp_path / "parts" / f"{index}.png"), picture)
    mask = np.zeros((240, 320), np.uint8)
    mask[:20] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    view, _ = chosen(tmp_path / "parts", ViewWish(ignore_mask=tmp_path / "mask.png"))
    assert view.settings.alignment is None


def test_a_wish_for_tiles_is_granted(tmp_path: Path) -> None:
    view, said = chosen(write(tmp_path, *[(64, 64)] * 3), ViewWish(grid=(2, 3), overlap=0.25))
    assert view.settings.tiles == Tiles(rows=2, columns=3, overlap=16)
    assert "as asked" in said


def test_the_region_of_interest_decides_the_tiles(tmp_path: Path) -> None:
    roi = Roi(x=0, y=0, width=64, height=64)
    view, _ = chosen(write(tmp_path, *[(64, 300)] * 3), ViewWish(roi=roi))
    assert len(view.places) == 1 and view.settings.image_size == (64, 300)


def test_mixed_sizes_are_said(tmp_path: Path) -> None:
    view, said = chosen(write(tmp_path, (64, 64), (80, 60), (50, 70)))
    assert "from 70x50 to 60x80" in said and view.settings.image_size is None


def test_mixed_sizes_have_no_common_pixels(tmp_path: Path) -> None:
    wish = ViewWish(roi=Roi(x=0, y=0, width=9, height=9))
    with pytest.raises(InputError, match="several sizes, from 70x50 to 64x64"):
        chosen(write(tmp_path, (64, 64), (50, 70)), wish)


def test_pictures_on_end_are_not_of_one_size_with_those_that_lie(tmp_path: Path) -> None:
    """A camera that was turned: as many pixels, and not the same ones."""
    folder = write(tmp_path, *[(120, 160)] * 3, (160, 120), *[(120, 160)] * 3)
    view, said = chosen(folder)
    assert "sizes vary, from 160x120 to 120x160" in said and view.settings.image_size is None
    with pytest.raises(InputError, match="several sizes, from 160x120 to 120x160"):
        chosen(folder, ViewWish(roi=Roi(x=0, y=0, width=9, height=9)))


@pytest.mark.parametrize(("top", "bits"), [(800, 10), (3000, 12), (9000, 14), (60000, 16)])
def test_16_bit_images_get_the_window_of_their_depth(top: int, bits: int, tmp_path: Path) -> None:
    """Their upper eight bits alone would leave 16 levels of a camera of 12 bits."""
    view, said = chosen(write(tmp_path, *[(64, 64)] * 3, dtype=np.uint16, top=top))
    assert view.settings.window == (0, (1 << bits) - 1)
    assert f"{bits} bits" in said


def test_a_hot_pixel_does_not_decide_the_window(tmp_path: Path) -> None:
    """It made 16 bits of a camera of 12, and 16 levels of grey of the parts."""
    folder = write(tmp_path, *[(64, 64)] * 3, dtype=np.uint16, top=3000)
    image = cv2.imread(str(folder / "1.png"), cv2.IMREAD_UNCHANGED)
    assert image is not None
    image[5, 5] = 65535
    cv2.imwrite(str(folder / "1.png"), image)
    view, said = chosen(folder)
    assert view.settings.window == (0, 4095)
    assert "12 bits" in said and "what is brighter, up to 65535, 255" in said


@pytest.mark.parametrize(
    ("top", "high"), [(1000, 1250), (1023, 1023), (4090, 5112), (65000, 65535)]
)
def test_the_window_leaves_room_above_levels_that_end_below_a_depth(
    top: int, high: int, tmp_path: Path
) -> None:
    """A dim picture of 12 bits: in 10, a glint was as bright as the part."""
    view, said = chosen(write(tmp_path, *[(64, 64)] * 3, dtype=np.uint16, top=top))
    low, found = view.settings.window or (0, 0)
    assert low == 0 and found == pytest.approx(high, abs=high / 100)
    assert ("with room above" in said) is (high not in (1023, 65535))


def test_a_window_needs_16_bits(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="8 bits"):
        chosen(write(tmp_path, *[(64, 64)] * 3), ViewWish(window=(0, 4095)))


def mask_file(folder: Path, mask: NDArray[np.bool_]) -> Path:
    path = folder / "mask" / "ignore.png"
    path.parent.mkdir()
    cv2.imwrite(str(path), mask.astype(np.uint8) * 255)
    return path


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    mask = mask_file(tmp_path, np.zeros((32, 64), np.bool_))
    with pytest.raises(InputError, match="ignore.png is 64x32 pixels, its image 64x64"):
        chosen(write(tmp_path, *[(64, 64)] * 3), ViewWish(ignore_mask=mask))


def test_the_share_that_the_mask_leaves_out_is_said(tmp_path: Path) -> None:
    """Drawn the wrong way round, it left out the part, and every defect passed."""
    where = np.zeros((64, 64), np.bool_)
    where[:48] = True
    mask = mask_file(tmp_path, where)
    _, said = chosen(write(tmp_path, *[(64, 64)] * 3), ViewWish(ignore_mask=mask))
    assert "75.0% of the picture is not inspected" in said


def test_a_mask_that_marks_nothing_is_refused(tmp_path: Path) -> None:
    mask = mask_file(tmp_path, np.zeros((64, 64), np.bool_))
    with pytest.raises(InputError, match="ignore.png marks nothing"):
        chosen(write(tmp_path, *[(64, 64)] * 3), ViewWish(ignore_mask=mask))


def test_more_tiles_than_a_bundle_takes_are_refused(tmp_path: Path) -> None:
    """`normline export` said so, after the training."""
    folder = write(tmp_path, *[(8, 2048)] * 3)
    with pytest.raises(InputError, match="would take 1x.* tiles, more than 100: give --tiles"):
        chosen(folder)
    view, _ = chosen(folder, ViewWish(grid=(1, 32)))
    assert len(view.places) == 32


def test_a_mask_that_leaves_nothing_is_refused(tmp_path: Path) -> None:
    mask = mask_file(tmp_path, np.ones((64, 64), np.bool_))
    with pytest.raises(InputError, match="nothing is left"):
        chosen(write(tmp_path, *[(64, 64)] * 3), ViewWish(ignore_mask=mask))


def test_a_missing_mask_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gone.png"):
        wish = ViewWish(ignore_mask=tmp_path / "gone.png")
        chosen(write(tmp_path, *[(64, 64)] * 3), wish)
