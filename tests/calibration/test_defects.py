"""Drawn defects are found when they are large, and more of them at a lower threshold."""

from __future__ import annotations

import numpy as np
import pytest

from agent.bundle import open_bundle
from agent.engine import load_engine
from agent.view import View
from calibration.defects import KINDS, SIZES, _places, detect
from tests.tiny import tiny_frames, write_tiny_bundle


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list:
    bundle = open_bundle(write_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny.nlb"))
    engine = load_engine(bundle, runtime="onnxruntime", precision="fp32")
    frames = list(tiny_frames(6, (64, 64), seed=5)[0::2])
    try:
        # Between them lies the score of every plain part.
        view = View.of(bundle)
        return [
            detect(engine, view, frames, threshold, -3.2, 10)
            for threshold in (1000.0, -3.2, -1000.0)
        ]
    finally:
        engine.close()


def test_every_kind_and_size_is_tried(found: list) -> None:
    assert [(row.kind, row.tried) for row in found[0]] == [
        (kind, 10) for kind in KINDS for _ in SIZES
    ]


def test_a_threshold_out_of_reach_finds_nothing_and_one_below_all_finds_everything(
    found: list,
) -> None:
    assert {row.found for row in found[0]} == {0}
    assert {row.found for row in found[2]} == {10}
    assert {(row.low, round(row.high, 3)) for row in found[0]} == {(0.0, 0.308)}


def test_larger_defects_are_found_more_often(found: list) -> None:
    spots = [row.found for row in found[1] if row.kind == "spot"]
    assert spots == sorted(spots) and spots[-1] == 10 > spots[0]
    assert all(row.low <= row.found / row.tried <= row.high for row in found[1])


def test_what_another_threshold_would_find_is_counted_beside_it(found: list) -> None:
    of_that = [row.found for row in found[1]]
    assert 0 < sum(of_that) < 90
    assert all([row.found_otherwise for row in rows] == of_that for rows in found)


def test_where_only_the_paint_is_told_from_the_border_defects_lie_beside_it() -> None:
    """A smooth product under a large ignore mask: all that stands out is the paint."""
    canvas = np.full((64, 64, 3), 200, np.uint8)
    ignored = np.zeros((64, 64), bool)
    ignored[16:48, 16:48] = True
    canvas[ignored] = 128
    places = _places(canvas, ignored)
    assert len(places) == 64 * 64 - 32 * 32
    assert not ignored[tuple(places.T)].any()
