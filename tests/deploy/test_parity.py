"""The gate compares verdicts, maps and scores, and float16 is tried where it could overflow."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch

from agent.errors import InputError
from deploy import half
from deploy.graph import line_module
from deploy.half import check_half, extremes, largest_value
from deploy.parity import (
    SHIFT,
    Parity,
    Said,
    ask_module,
    check,
    compare,
    seen_again,
    span_of,
)
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


def test_maps_are_compared_one_by_one() -> None:
    """Copies of all of them took 33 bytes a pixel: an export of large frames was killed by it."""
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(20, 64, 64)).astype(np.float32)
    one, other = Said(said().scores, maps), Said(said().scores, maps + np.float32(0.1))
    tracemalloc.start()
    compare(one, other, ANOMALOUS, SPAN)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < maps.nbytes


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


@pytest.mark.parametrize(
    ("precision", "measure", "good", "bad"),
    [
        ("fp32", "agreement", 1.0, 0.9999),
        ("fp32", "correlation", 0.9999, 0.9998),
        ("fp32", "score", 1e-3, 1.1e-3),
        ("fp32", "map", 1e-3, 1.1e-3),
        ("fp16", "agreement", 1.0, 0.9999),
        ("fp16", "correlation", 0.9999, 0.9998),
        ("fp16", "score", 1e-2, 1.1e-2),
        ("fp16", "map", 1e-2, 1.1e-2),
        ("int8", "agreement", 0.995, 0.994),
        ("int8", "correlation", 0.98, 0.979),
        ("int8", "score", 0.15, 0.151),
        ("int8", "map", 0.05, 0.051),
        ("int8", "correlation", 1.0, np.nan),
        ("int8", "map", 0.0, np.nan),
    ],
)
def test_what_is_demanded_of_a_precision_is_what_is_written(
    precision: str, measure: str, good: float, bad: float
) -> None:
    exact = {"agreement": 1.0, "correlation": 1.0, "score": 0.0, "map": 0.0, "span": 1.0}
    check("it", precision, Parity(**{**exact, measure: good}))
    with pytest.raises(InputError, match="it is not the trained model"):
        check("it", precision, Parity(**{**exact, measure: bad}))


def test_a_single_map_that_strays_is_told_whichever_way_it_strays() -> None:
    """Over all frames, and over what is too much and too little, it would even out."""
    maps = said().maps.copy()
    maps[3, ::2] += 0.4
    maps[3, 1::2] -= 0.4
    found = compare(Said(said().scores, maps), said(), ANOMALOUS, SPAN)
    assert found.map == pytest.approx(0.2, rel=1e-4)


def test_verdicts_are_compared_for_strict_lines_and_for_lenient_ones() -> None:
    """Between the limits for 5 % and for 1 % lies the anomaly that one model finds."""
    scores = np.r_[np.arange(10.0), np.full(10, 50.0)]
    scores[-1] = 8.85
    other = scores.copy()
    other[-1] = 8.95
    maps = said().maps
    found = compare(Said(other, maps), Said(scores, maps), ANOMALOUS, SPAN)
    assert found.agreement == pytest.approx(1 - 1 / 60)


def test_where_no_frame_is_good_all_are_compared_as_if_they_were() -> None:
    found = compare(said(), said(), np.ones(20, np.bool_), SPAN)
    assert found.agreement == 1.0
    lower = Said(said().scores[::-1], said().maps)
    assert compare(lower, said(), np.ones(20, np.bool_), SPAN).agreement < 1.0


def test_a_light_part_seen_again_in_more_light_stays_light() -> None:
    """Levels that wrap around would show it black, and be what INT8 is judged by."""
    white = np.full((4, 32, 32, 3), 250, np.uint8)
    again = seen_again(white)
    assert again.min() > 200 and again.max() == 255
    assert len({int(frame[0, 0, 0]) for frame in again}) > 3
