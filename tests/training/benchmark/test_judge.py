"""Images of several tiles are judged as the station judges them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tests.posed import SIZE, alignment, lying
from tests.training.benchmark.trees import mvtec_tree
from training.alignment import Alignment
from training.benchmark.judge import judge
from training.dataset import Dataset, LabelledImage, read_dataset
from training.errors import InputError
from training.model import FixedNoise
from training.view import Tiles, View, ViewSettings


class DarkPixels(FixedNoise):
    """Finds dark pixels, without any network."""

    def __init__(self) -> None:
        torch.nn.Module.__init__(self)
        self.register_buffer("noise_normal", torch.zeros(1))

    def forward(self, frame: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        maps = (frame < 40).all(-1).float()
        return maps, maps.flatten(1).mean(1), frame


def test_a_defect_in_any_tile_counts_and_lands_in_its_place(tmp_path: Path) -> None:
    """The spots of the defective plates are all that is dark in them."""
    data = read_dataset(mvtec_tree(tmp_path, "nut") / "nut")
    tiles = Tiles(rows=2, columns=2, overlap=8)
    view = View((40, 44), ViewSettings(tiles=tiles))
    assert view.canvas_size == (72, 80)  # that of the images: no pixel is resized
    figures = judge(DarkPixels().eval(), data, view, print)
    assert figures.image_auroc == 1.0
    assert figures.pixel_ap is not None and figures.pixel_ap > 0.95
    assert figures.aupro is not None and figures.aupro > 0.95
    assert np.isfinite(figures.ms)


class StartsSlowly(DarkPixels):
    """Takes two seconds for the first images, as CUDA does, and 8 ms for further ones."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def forward(self, frame: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        self.now_s += 0.008 if self.now_s else 2.0
        return super().forward(frame)


def test_a_start_does_not_count_as_an_images_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that was trained before had 25 ms more an image than one that was trained here."""
    inspector = StartsSlowly().eval()
    monkeypatch.setattr("training.benchmark.judge.perf_counter", lambda: inspector.now_s)
    data = read_dataset(mvtec_tree(tmp_path, "nut") / "nut")
    figures = judge(inspector, data, View((72, 80)), print)
    assert figures.ms == round(8 / len(data.test), 2)


def keys(folder: Path, *kinds: str) -> Dataset:
    """A key of each kind, which lies elsewhere each time: `spot` has one, `gone` is no key."""
    items = []
    for index, kind in enumerate(kinds):
        away = -1000 if kind == "gone" else 0
        picture = lying(150 + index + away, 118, 20.0 * index, seed=index)
        if kind == "spot":
            cv2.circle(picture, (150 + index, 118), 5, (0, 0, 0), -1)
        cv2.imwrite(str(folder / f"{index}.png"), picture)
        items.append(LabelledImage(folder / f"{index}.png", kind, None))
    return Dataset([], items)


FOLLOWED = View((64, 160), ViewSettings(image_size=SIZE, alignment=Alignment(**alignment())))


def test_a_test_image_without_a_part_costs_no_figures(tmp_path: Path) -> None:
    """A defect that leaves too little of the part, after hours of training."""
    said: list[str] = []
    data = keys(tmp_path, "good", "spot", "gone", "good", "spot")
    figures = judge(DarkPixels().eval(), data, FOLLOWED, said.append)
    assert figures.image_auroc == 1.0
    assert "2.png shows no part" in said[0] and said[1] == "1 of 5 test images left out"


def test_no_figure_is_taken_where_no_defective_image_shows_a_part(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs good and defective test images"):
        judge(DarkPixels().eval(), keys(tmp_path, "good", "gone"), FOLLOWED, print)
