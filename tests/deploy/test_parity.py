"""The gate compares verdicts, maps and scores, and float16 is tried where it could overflow."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from agent.errors import InputError
from deploy import half
from deploy.graph import line_module
from deploy.half import check_half, extremes, largest_value
from deploy.parity import SHIFT, Said, ask_module, check, compare, seen_again, span_of
from tests.deploy.networks import random_frames, random_inspector
from tests.deploy.plates import SIDE

ANOMALOUS = np.arange(20) >= 10
SPAN = 2.0


def said(seed: int = 0) -> Said:
    rng = np.random.default_rng(seed)
    return Said(np.linspace(-1, 1, 20), rng.normal(size=(20, 8, 8)).astype(np.float32))


def test_a_model_agrees_with_itself() -> None:
    found = compare(said(), said(), ANOMALOUS, SPAN)
    assert (found.agreement, found.score, found.map, found.span) == (1.0, 0.0, 0.0, 2.0)
    assert found.correlation == pytest.approx(1.0)
    check("it", "fp32", found)


def test_frames_seen_again_show_the_same_parts_elsewhere_and_in_other_light() -> None:
    frames = random_frames(3)
    again = seen_again(frames)
    assert again.shape == (9, *frames.shape[1:]) and again.dtype == np.uint8
    assert np.array_equal(again, seen_again(frames))
    for frame, other in zip(np.concatenate([frames] * 3), again, strict=True):
        inner = frame[SHIFT:-SHIFT, SHIFT:-SHIFT].astype(float)
        height, width = inner.shape[:2]
        closest = min(
            np.abs(
                inner * other.mean() / frame.mean() - other[y : y + height, x : x + width]
            ).mean()
            for y in range(2 * SHIFT + 1)
            for x in range(2 * SHIFT + 1)
        )
        assert closest < 2.0 and not np.array_equal(frame, other)


@pytest.mark.parametrize(
    ("scores", "maps", "message"),
    [
        # The best anomaly falls below the threshold.
        (np.r_[np.linspace(-1, 1, 20)[:-1], -1.0], 1.0, r"95.00% of the verdicts.*equal verdicts"),
        (np.linspace(-1, 1, 20) * 1.5, 1.0, "scores within 15.0% of the span"),
        (np.linspace(-1, 1, 20), -1.0, "a correlation of 0.98"),
        (np.linspace(-1, 1, 20), 2.0, "maps within 5.0% of the span"),
        (np.full(20, np.nan), 1.0, "scores within"),
    ],
    ids=["verdict", "scores", "turned maps", "scaled maps", "nan"],
)
def test_what_strays_is_refused_with_the_figures(
    scores: np.ndarray, maps: float, message: str
) -> None:
    other = Said(scores, (said().maps * maps).astype(np.float32))
    found = compare(other, said(), ANOMALOUS, SPAN)
    with pytest.raises(InputError, match=f"{message}.*finetune"):
        check("the int8 model", "int8", found, "; try --finetune 10m")


def test_each_model_is_compared_at_its_own_threshold() -> None:
    """As a calibration is of one engine: what lifts all scores alike changes no verdict."""
    lifted = Said(said().scores + 0.25, said().maps)
    found = compare(lifted, said(), ANOMALOUS, SPAN)
    assert found.agreement == 1.0 and found.score == pytest.approx(0.125)


def test_fp16_is_held_to_the_scores_of_good_frames() -> None:
    """An anomaly far off would let through what moves every limit by half."""
    scores = np.r_[np.linspace(-1, 1, 10), np.linspace(50, 99, 10)]
    trained = Said(scores, said().maps)
    assert span_of("fp16", trained, ANOMALOUS) == 2.0
    assert span_of("int8", trained, ANOMALOUS) == span_of("fp32", trained, ANOMALOUS) == 100.0
    # How far apart two lie is chance.
    assert span_of("fp16", trained, np.arange(20) >= 2) == 100.0
    # So is one that a run of few images has taken ten times: by its span nothing could be exported.
    same = Said(np.r_[np.full(10, -1.0), scores[10:]], said().maps)
    assert span_of("fp16", same, ANOMALOUS) == 100.0


def test_flat_maps_are_equal_only_to_themselves() -> None:
    flat = Said(said().scores, np.zeros((20, 8, 8), np.float32))
    assert compare(flat, flat, ANOMALOUS, SPAN).correlation == 1.0
    assert compare(flat, said(), ANOMALOUS, SPAN).correlation == 0.0


def test_float16_answers_alike_on_any_picture() -> None:
    inspector = random_inspector()
    with torch.no_grad():
        # Pixels side by side agree, as a trained network's do: else the score, their mean, would be
        # the same of any picture, and no span to measure by.
        head = inspector.model.get_parameter("segmentation.head.weight")
        head += head[:1].clone()
    line = line_module(inspector)
    frames = np.stack([*random_frames(2), *extremes((SIDE, SIDE))])
    anomalous = np.arange(len(frames)) % 2 == 0
    span = span_of("fp16", ask_module(line, frames), anomalous)
    assert check_half(line, frames, anomalous, span).score < 1e-2


def test_a_network_that_would_overflow_float16_is_refused() -> None:
    """Only a white picture overflows: the frames at hand would not have told."""
    inspector = random_inspector()
    line = line_module(inspector)
    with torch.no_grad():
        line.stem.weight.copy_(line.stem.weight.abs() * 3e3)
    dark = np.full((2, SIDE, SIDE, 3), 128, np.uint8)
    assert largest_value(line, dark) < 1e3
    with pytest.raises(InputError, match="would overflow: it reaches"):
        check_half(line, dark, np.zeros(2, np.bool_), SPAN)


def test_an_answer_that_is_no_number_is_refused_where_no_layer_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Layers are looked at in float32, and what is added up between two is not: white again."""
    inspector = random_inspector()
    line = line_module(inspector)
    with torch.no_grad():
        line.stem.weight.copy_(line.stem.weight.abs() * 3e3)
    monkeypatch.setattr(half, "largest_value", lambda *_: 0.0)
    dark = np.full((2, SIDE, SIDE, 3), 128, np.uint8)
    with pytest.raises(InputError, match="no finite answer for a black, a white"):
        check_half(line, dark, np.zeros(2, np.bool_), SPAN)


def test_the_extremes_are_pictures() -> None:
    pictures = extremes((64, 96))
    assert pictures.shape == (4, 64, 96, 3) and pictures.dtype == np.uint8
    assert pictures[0].max() == 0 and pictures[1].min() == 255
