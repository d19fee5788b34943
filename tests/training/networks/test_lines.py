"""A network is told of thin lines, and where they are."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from training.networks.lines import DIRECTIONS, REACH, Lines, folded_line_filters, line_filters

FOLD = 4
SIDE = 64


def noise() -> torch.Tensor:
    return torch.randn(1, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


def test_folded_filters_find_what_the_filters_find_pixel_by_pixel() -> None:
    found = F.conv2d(noise(), line_filters()[:, None], padding=REACH)
    folded = F.conv2d(F.pixel_unshuffle(noise(), FOLD), folded_line_filters(FOLD), padding=2)
    expected = F.pixel_unshuffle(found, FOLD)
    torch.testing.assert_close(folded, torch.cat((expected, -expected), 1), atol=1e-5, rtol=0)


@pytest.mark.parametrize("direction", range(DIRECTIONS))
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_hair_of_the_noises_own_strength_stands_out_in_its_direction(
    direction: int, sign: float
) -> None:
    """No pixel of it tells it from the noise; a dozen in a row do."""
    angle = math.pi * direction / DIRECTIONS
    y, x = torch.meshgrid(torch.arange(SIDE) - 32.0, torch.arange(SIDE) - 32.0, indexing="ij")
    across = y * math.cos(angle) - x * math.sin(angle)
    along = x * math.cos(angle) + y * math.sin(angle)
    hair = 2.0 * sign * ((across.abs() < 0.71) & (along.abs() < 12)).float()
    found = F.conv2d(noise() + hair, line_filters()[:, None], padding=REACH)[0] * sign
    strongest = int(found.flatten(1).amax(1).argmax())
    assert strongest == direction
    row, column = divmod(int(found[direction].argmax()), SIDE)
    assert abs(across[row, column]) < 2 and abs(along[row, column]) < 12
    assert (
        found[direction].max()
        > 1.2 * F.conv2d(noise(), line_filters()[:, None], padding=REACH).abs().max()
    )


def test_even_shading_is_no_line() -> None:
    ramp = torch.linspace(-1, 1, SIDE).expand(1, 1, SIDE, SIDE)
    found = F.conv2d(ramp, line_filters()[:, None])
    assert found.abs().max() < 1e-4


def test_the_filters_are_given_and_not_saved() -> None:
    lines = Lines(FOLD, 8)
    assert "filters" not in lines.state_dict()
    assert not lines.filters.requires_grad
