"""What stands out is the same, pixels folded or not."""

from __future__ import annotations

import pytest
import torch

from deploy.folded import fold, unfold
from deploy.folded_pixels import FoldedContrast, folded_score
from training.losses import squares_score
from training.networks.contrast import LEVELS, detail, standing_out

SIDE = 4


@pytest.mark.parametrize("colours", [1, 3], ids=["grey", "colour"])
@pytest.mark.parametrize("size", [(64, 64), (96, 32)], ids=["square", "tall"])
def test_folding_changes_nothing(size: tuple[int, int], colours: int) -> None:
    picture = torch.rand(1, *size, colours, generator=torch.Generator().manual_seed(0))
    planes = picture.permute(0, 3, 1, 2)
    contrast = FoldedContrast(SIDE, colours)
    fine = contrast.detail(fold(picture, SIDE))
    found = unfold(fine, SIDE).permute(0, 3, 1, 2)
    torch.testing.assert_close(found, detail(planes), atol=1e-5, rtol=0)
    found = unfold(contrast.standing_out(fine), SIDE).permute(0, 3, 1, 2)
    apart = (found - LEVELS * standing_out(detail(planes))).abs()
    # A value half-way between two levels may fall to either.
    assert apart.max() < 1.01 and (apart > 1e-3).float().mean() < 1e-3


def test_the_score_is_that_of_the_unfolded_map() -> None:
    logits = torch.randn(1, SIDE * SIDE, 16, 24, generator=torch.Generator().manual_seed(0))
    expected = squares_score(torch.nn.functional.pixel_shuffle(logits, SIDE))
    torch.testing.assert_close(folded_score(logits), expected)


def test_another_fold_is_refused_and_not_miscalculated() -> None:
    with pytest.raises(ValueError, match="folded by 4"):
        FoldedContrast(8, 3)
    with pytest.raises(ValueError, match="as large as the fold"):
        folded_score(torch.zeros(1, 64, 8, 8))
