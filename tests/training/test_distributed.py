"""How a batch is shared out."""

from __future__ import annotations

import numpy as np
import pytest

from training.distributed import ALONE, own_places
from training.errors import InputError

ANOMALOUS = np.array([True, False, False, True, True, False, True, False])


@pytest.mark.parametrize("size", [1, 2, 4])
def test_shares_are_equal_and_cover_the_batch_once(size: int) -> None:
    shares = [own_places(ANOMALOUS, rank, size) for rank in range(size)]
    assert sorted(place for share in shares for place in share) == list(range(8))
    assert {int(ANOMALOUS[share].sum()) for share in shares} == {4 // size}


def test_a_batch_that_cannot_be_shared_evenly_is_refused() -> None:
    """With unequal shares the mean of the processes' losses is not the loss."""
    with pytest.raises(InputError, match="8 images, 4 .* evenly by 3 .* give --batch-size 12"):
        own_places(ANOMALOUS, 0, 3)


def test_one_process_needs_no_launcher() -> None:
    assert ALONE.leads and ALONE.agree(0.25) == 0.25
