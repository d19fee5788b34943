"""A network is told of thin lines, and where they are."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from training.networks.lines import DIRECTIONS, SQUARES, Lines, line_filters, strongest

FOLD = 4
SIDE = 64


def noise() -> torch.Tensor:
    return torch.randn(1, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


def response(picture: torch.Tensor) -> torch.Tensor:
    """[2, DIRECTIONS, rows, columns] of squares: the most that a filter of either kind says."""
    found = F.conv2d(F.pixel_unshuffle(picture, FOLD), line_filters(FOLD), padding=SQUARES // 2)
    return strongest(found).view(2, DIRECTIONS, SIDE // FOLD, SIDE // FOLD)


@pytest.mark.parametrize("place", [-1.5, 0.0, 0.7, 2.0])
@pytest.mark.parametrize("direction", range(DIRECTIONS))
@pytest.mark.parametrize("sign", [1.0, -1.0], ids=["bright", "dark"])
def test_a_hair_of_twice_the_noises_strength_stands_out_in_its_direction(
    direction: int, sign: float, place: float
) -> None:
    """No pixel of it tells it from the noise; a dozen in a row do, wherever it lies."""
    angle = math.pi * direction / DIRECTIONS
    y, x = torch.meshgrid(torch.arange(SIDE) - 32.0, torch.arange(SIDE) - 32.0, indexing="ij")
    across = y * math.cos(angle) - x * math.sin(angle) - place
    along = x * math.cos(angle) + y * math.sin(angle)
    hair = 2.0 * sign * ((across.abs() < 0.71) & (along.abs() < 12)).float()
    found = response(noise() + hair)[0 if sign > 0 else 1]
    assert int(found.flatten(1).amax(1).argmax()) == direction
    row, column = divmod(int(found[direction].argmax()), SIDE // FOLD)
    seen = slice(row * FOLD, (row + 1) * FOLD), slice(column * FOLD, (column + 1) * FOLD)
    assert across[seen].abs().min() < 2 and along[seen].abs().min() < 12
    assert found.max() > 1.2 * response(noise()).max()


def test_even_shading_is_no_line() -> None:
    ramp = torch.linspace(-1, 1, SIDE).expand(1, 1, SIDE, SIDE)
    inside = response(ramp)[..., 3:-3, 3:-3]
    assert inside.abs().max() < 2e-3  # a hair as bright as the ramp is high gives six


def test_the_filters_are_given_and_not_saved() -> None:
    lines = Lines(FOLD, 8)
    assert "filters" not in lines.state_dict()
    assert not lines.filters.requires_grad
