"""The checkpoint is chosen by enough pairs, however few normals were held out."""

from __future__ import annotations

import numpy as np
import pytest

from agent.camera.product import render
from training.selection import LEAST_PAIRS, SelectionSet
from training.synthesis import Synthesizer
from training.synthesis.parts import Parts


@pytest.mark.parametrize("count", [1, 20])
def test_a_few_held_out_normals_are_judged_with_many_anomalies(count: int) -> None:
    """Of one pair the image AUROC is 0 or 1: chance would choose the checkpoint."""
    normals = np.stack([render(5, index, 0.0)[0][::2, ::2] for index in range(count)])
    synthesizer = Synthesizer(Parts(normals, None, False), None, np.random.default_rng(0))
    chosen = SelectionSet(normals, synthesizer, seed=0)
    pairs = len(chosen.frames) // 2
    assert pairs == max(count, LEAST_PAIRS)
    assert (chosen.frames[:count] == normals).all()
    assert len(np.unique(chosen.masks[pairs:], axis=0)) > pairs // 2
