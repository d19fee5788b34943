"""What stands out is the same, pixels folded or not."""

from __future__ import annotations

import pytest
import torch

from deploy.folded import fold, unfold
from deploy.folded_contrast import folded_detail, folded_standing_out, spread_weight
from training.networks.contrast import detail, standing_out

SIDE = 4


@pytest.mark.parametrize("size", [(64, 64), (96, 32)], ids=["square", "tall"])
def test_folding_changes_nothing(size: tuple[int, int]) -> None:
    picture = torch.rand(1, *size, 3, generator=torch.Generator().manual_seed(0))
    planes = picture.permute(0, 3, 1, 2)
    fine = folded_detail(fold(picture, SIDE), spread_weight(SIDE))
    found = unfold(fine, SIDE).permute(0, 3, 1, 2)
    torch.testing.assert_close(found, detail(planes), atol=1e-5, rtol=0)
    found = unfold(folded_standing_out(fine), SIDE).permute(0, 3, 1, 2)
    torch.testing.assert_close(found, standing_out(detail(planes)), atol=1e-5, rtol=0)


def test_another_fold_is_refused_and_not_miscalculated() -> None:
    with pytest.raises(ValueError, match="folded by 4"):
        spread_weight(8)
