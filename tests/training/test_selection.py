"""The checkpoint is chosen by enough pairs, however few normals were held out."""

from __future__ import annotations

import numpy as np
import pytest

from agent.camera.product import render
from training.selection import LEAST_PAIRS, SelectionScore, SelectionSet
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


def test_a_checkpoint_is_chosen_by_what_it_finds_and_by_where() -> None:
    """Of two that tell every image, the one that also marks the defects is the better."""
    assert SelectionScore(image_auroc=1.0, pixel_ap=0.5).value == pytest.approx(0.75)


def test_an_anomaly_lies_on_the_part_that_it_is_drawn_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where each normal is taken several times; beside the part there is nothing to find."""
    normals = np.stack([render(5, index, 0.0)[0][::2, ::2] for index in range(3)])
    synthesizer = Synthesizer(Parts(normals, None, False), None, np.random.default_rng(0))
    asked: list[int] = []
    monkeypatch.setattr(synthesizer, "foreground", asked.append)
    chosen = SelectionSet(normals, synthesizer, seed=7)
    pairs = len(chosen.frames) // 2
    assert asked == [index % 3 for index in range(pairs)]
    assert not chosen.labels[:pairs].any() and chosen.labels[pairs:].all()
    again = SelectionSet(normals, synthesizer, seed=7)
    assert np.array_equal(again.frames, chosen.frames)
