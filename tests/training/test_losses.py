"""The losses and the score reproduce the official code, and stay finite where it would not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from training.batches import region_weights
from training.losses import (
    FOCAL_WEIGHT,
    focal_loss,
    overlap_loss,
    segmentation_loss,
    smooth_l1_loss,
    squares_score,
    top_k_score,
)


@pytest.fixture
def logits(diffusion_numbers: dict[str, Tensor]) -> Tensor:
    return diffusion_numbers["seg_prob"].logit()


def test_each_loss_is_the_official_one(
    logits: Tensor, diffusion_numbers: dict[str, Tensor]
) -> None:
    mask = diffusion_numbers["seg_mask"]
    focal = diffusion_numbers["focal_alpha05_gamma4"].item()
    smooth_l1 = diffusion_numbers["smooth_l1"].item()
    assert focal_loss(logits, mask).item() == pytest.approx(focal, abs=1e-5)
    assert smooth_l1_loss(logits, mask).item() == pytest.approx(smooth_l1, abs=1e-5)
    total = FOCAL_WEIGHT * focal + smooth_l1
    assert segmentation_loss(logits, mask).item() == pytest.approx(total, abs=1e-5)


def test_score_is_the_mean_of_the_50_largest_pixels(diffusion_numbers: dict[str, Tensor]) -> None:
    score = top_k_score(diffusion_numbers["seg_prob"], k=50)
    torch.testing.assert_close(score, diffusion_numbers["topk50_score"], rtol=0, atol=1e-5)


def test_the_score_is_of_what_lies_together_in_one_place_or_in_a_row() -> None:
    """As many bright pixels: scattered over the map, in one place, along a crack."""
    maps = torch.zeros(3, 64, 64)
    maps[0, ::6, ::6] = 1.0
    maps[1, 12:20, 20:28] = maps[1, 40:48, 20:28] = 1.0
    maps[2, 28:32, 4:36] = 1.0
    scattered, hole, crack = squares_score(maps).tolist()
    assert scattered < 0.2
    assert hole == crack == 1.0


def test_small_maps_have_a_score() -> None:
    assert squares_score(torch.ones(2, 1, 8, 8)).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_a_saturated_mistake_still_has_a_gradient(sign: float) -> None:
    """Clamped probabilities give a confidently wrong pixel no gradient to recover with."""
    logits = torch.full((1, 1, 2, 2), 60.0 * sign, requires_grad=True)
    mask = torch.zeros(1, 1, 2, 2) if sign > 0 else torch.ones(1, 1, 2, 2)
    loss = focal_loss(logits, mask)
    loss.backward()
    assert loss.item() == pytest.approx(30.0, rel=1e-5)
    assert logits.grad is not None and (logits.grad * sign > 0).all()


def test_a_missed_hole_costs_more_than_its_share_of_the_pixels() -> None:
    """A stain of 400 pixels and a hole of 4: the hole, left out, must be felt."""
    mask = np.zeros((32, 32), np.bool_)
    mask[:20, :20] = True
    mask[28:30, 28:30] = True
    weight = torch.from_numpy(region_weights(mask))[None, None]
    found = torch.from_numpy(mask)[None, None].float()
    logits = 20.0 * (2.0 * found - 1.0)
    without_hole = logits.clone()
    without_hole[..., 28:30, 28:30] = -20.0
    whole = overlap_loss(logits, found, weight)
    dice_alone = 1.0 - 2.0 * 400 / (400 + 404)
    cost = overlap_loss(without_hole, found, weight) - whole
    entropy = 20.0 * 4 / 32**2
    assert whole.item() == pytest.approx(0.0, abs=1e-5)
    assert cost.item() - entropy > 5 * dice_alone


def test_regions_weigh_by_the_root_of_their_size_and_one_pixel_on_average() -> None:
    mask = np.zeros((32, 32), np.bool_)
    mask[:20, :20] = True
    mask[28:30, 28:30] = True
    weights = region_weights(mask)
    assert weights[mask].mean() == pytest.approx(1.0)
    assert weights[28, 28] / weights[0, 0] == pytest.approx(10.0)
    assert not weights[~mask].any()


def test_an_image_without_anomaly_has_no_overlap_to_miss() -> None:
    calm = torch.full((2, 1, 8, 8), -20.0, requires_grad=True)
    nothing = torch.zeros(2, 1, 8, 8)
    loss = overlap_loss(calm, nothing, nothing)
    assert loss.item() == pytest.approx(0.0, abs=1e-5)
