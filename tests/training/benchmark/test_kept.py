"""Figures are taken up where they hold, and taken anew where they do not."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from training.benchmark.judge import Figures
from training.benchmark.kept import TEST_DIGEST, digests, figures_in, read_kept
from training.run import WEIGHTS

FIGURES = Figures(0.9, 0.8, None, None, 1.5)
NOW = {TEST_DIGEST: "ab"}
RECORD = {**asdict(FIGURES), **NOW}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'"x"'])
def test_a_damaged_file_holds_nothing(content: bytes, tmp_path: Path) -> None:
    """A traceback ended the night, at the category after a bad sector."""
    (tmp_path / "figures.json").write_bytes(content)
    assert read_kept(tmp_path / "figures.json") == {}


def test_figures_come_back_as_they_were_kept(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    assert read_kept(path) == {}
    path.write_text(json.dumps(RECORD))
    assert figures_in(read_kept(path), NOW) == FIGURES


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(None, id="none"),
        pytest.param("x", id="no record"),
        pytest.param({**RECORD, TEST_DIGEST: "cd"}, id="of other images"),
        pytest.param(asdict(FIGURES), id="of unknown images"),
        pytest.param({**NOW, "image_auroc": 0.9}, id="of a version with other figures"),
        pytest.param({**RECORD, "ms": "slow"}, id="no number"),
    ],
)
def test_what_does_not_hold_is_no_figure(record: Any) -> None:
    assert figures_in(record, NOW) is None


def test_figures_are_of_the_weights_that_they_were_taken_on(tmp_path: Path) -> None:
    found = [digests(tmp_path, "ab")]
    for weights in (b"one", b"other"):
        (tmp_path / WEIGHTS).write_bytes(weights)
        found.append(digests(tmp_path, "ab"))
    record = {**asdict(FIGURES), **found[1]}
    assert [figures_in(record, each) for each in found] == [None, FIGURES, None]
