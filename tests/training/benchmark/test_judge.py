"""Images of several tiles are judged as the station judges them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from tests.training.benchmark.trees import mvtec_tree
from training.benchmark.judge import judge
from training.dataset import read_dataset
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
    figures = judge(DarkPixels().eval(), data, view)
    assert figures.image_auroc == 1.0
    assert figures.pixel_ap is not None and figures.pixel_ap > 0.95
    assert figures.aupro is not None and figures.aupro > 0.95
    assert np.isfinite(figures.ms)
