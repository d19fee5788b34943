"""What a training looked like can be read from its pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from training import pictures
from training.pictures import draw_losses


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that would have been saved."""
    figures: list[Figure] = []
    monkeypatch.setattr(pictures, "_save", lambda figure, out, dpi: figures.append(figure))
    return figures


def marks(figure: Figure) -> list[dict[str, float]]:
    """What is marked on each half of the figure, and at which step."""
    return [
        {
            str(line.get_label()): float(line.get_xdata()[0])  # type: ignore[index]
            for line in axes.lines
            if line.get_linestyle() == "--"
        }
        for axes in figure.axes
    ]


def test_where_the_reconstruction_ends_and_which_checkpoint_was_chosen_is_marked(
    tmp_path: Path, drawn: list[Figure]
) -> None:
    """The image term goes flat there, as that of a training that got stuck."""
    entries: list[dict[str, Any]] = [
        {"step": step, "losses": {"image": 0.1, "segmentation": 0.5}} for step in (20, 40, 60, 80)
    ]
    entries += [{"step": 40, "painting": "ended"}]
    scores = {50: 0.8, 60: 0.9, 70: 0.9, 80: 0.7}
    entries += [
        {"step": step, "selection": {"image_auroc": score, "pixel_ap": 0.5}}
        for step, score in scores.items()
    ]
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    draw_losses(metrics, tmp_path / "losses.png")
    assert marks(drawn[0]) == [{"reconstruction fixed": 40.0}, {"chosen": 70.0}]


def test_a_training_that_did_not_come_to_either_has_no_marks(
    tmp_path: Path, drawn: list[Figure]
) -> None:
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_text(json.dumps({"step": 1, "losses": {"image": 0.1}}) + "\n")
    draw_losses(metrics, tmp_path / "losses.png")
    assert marks(drawn[0]) == [{}, {}]
