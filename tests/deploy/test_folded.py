"""The rearranged networks answer as the trained ones do, whatever the frame."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from deploy.folded import FoldedInspector, fold, unfold
from deploy.half import extremes
from tests.deploy.networks import random_frames, random_inspector
from tests.deploy.plates import SIDE


@pytest.mark.parametrize("colours", [1, 3], ids=["grey", "colour"])
@pytest.mark.parametrize(
    "frame",
    [*random_frames(2), *extremes((SIDE, SIDE))],
    ids=["spot", "plate", "black", "white", "board", "noise"],
)
def test_the_answers_are_the_same(frame: NDArray[np.uint8], colours: int) -> None:
    trained = random_inspector(colours=colours)
    folded = FoldedInspector(trained)
    with torch.inference_mode():
        expected = trained(torch.from_numpy(frame[None]))
        found = folded(torch.from_numpy(frame[None]))
    # Half-way between two levels, what stands out may fall to either: a few pixels see that.
    apart = (found[0] - expected[0]).abs()
    assert apart.max() < 2e-3 and (apart < 2e-4).float().mean() > 0.9
    torch.testing.assert_close(found[1], expected[1], atol=1e-3, rtol=1e-4)
    assert found[2].shape == expected[2].shape == (1, SIDE, SIDE, 3)
    assert (found[2].int() - expected[2].int()).abs().max() <= 1


@pytest.mark.parametrize("size", [(128, 128), (160, 96)], ids=["square", "tall"])
def test_other_sizes_fold_too(size: tuple[int, int]) -> None:
    trained = random_inspector(size)
    frame = torch.from_numpy(extremes(size)[-1][None])
    with torch.inference_mode():
        expected, found = trained(frame), FoldedInspector(trained)(frame)
    assert found[0].shape == (1, *size)
    torch.testing.assert_close(found[1], expected[1], atol=1e-4, rtol=1e-4)


def test_the_trained_networks_are_left_as_they_were() -> None:
    trained = random_inspector()
    before = {name: tensor.clone() for name, tensor in trained.state_dict().items()}
    FoldedInspector(trained)
    after = trained.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_unfolding_brings_every_pixel_home() -> None:
    picture = torch.arange(2 * 16 * 24 * 3 / 2).reshape(1, 16, 24, 3)
    assert torch.equal(unfold(fold(picture, 8), 8), picture)
