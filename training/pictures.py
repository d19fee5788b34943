"""What a training looked like: loss curves, and what the model makes of held-out images."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from training.files import replacing
from training.model import T_NOISIER, T_NORMAL, FixedNoise, to_images
from training.selection import SelectionScore, SelectionSet

matplotlib.use("Agg")  # a training machine has no display

LOSSES, SAMPLES = "losses.png", "samples.png"
GOOD_SHOWN, ANOMALOUS_SHOWN = 2, 4
# Logits shown from black to white: a probability of 0.02 to 0.98.
MAP_LIMITS = (-4.0, 4.0)
SMOOTHING = 0.9


def draw_losses(metrics: Path, out: Path) -> None:
    """Draw the loss terms and the selection scores of a run's metrics file over its steps.

    Dashed: from where on the reconstruction stays as it is, and the checkpoint that was chosen.
    """
    entries = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    terms, chosen = (_by_name(entries, kind) for kind in ("losses", "selection"))
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, (steps, values) in terms.items():
        faint, smooth = left.plot(steps, values, alpha=0.25)[0], _smooth(values)
        left.plot(steps, smooth, label=name, color=faint.get_color())
    for name, (steps, values) in chosen.items():
        right.plot(steps, values, marker="o", label=name.replace("_", " "))
    marks = [
        (left, "reconstruction fixed", _painting_ended(entries)),
        (right, "chosen", _best(entries)),
    ]
    for axes, label, step in marks:
        if step is not None:
            axes.axvline(step, color="grey", linestyle="--", label=label)
    left.set(title="loss terms, weighted", xlabel="step", yscale="log")
    right.set(title="held-out normals, synthetic anomalies", xlabel="step", ylim=(None, 1.01))
    for axes in (left, right):
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend()
    _save(figure, out, dpi=110)


@torch.inference_mode()
def draw_samples(inspector: FixedNoise, held_out: SelectionSet, out: Path) -> None:
    """Draw held-out images, good and with synthetic anomalies, through every stage of the model.

    `inspector` is in evaluation mode. Of each image: input, both noised images, both one-step
    predictions, the guided reconstruction, the anomaly map, and where the anomaly is.
    """
    half = len(held_out.frames) // 2
    good, anomalous = min(GOOD_SHOWN, half), min(ANOMALOUS_SHOWN, half)
    chosen = np.r_[0:good, half : half + anomalous]
    device = inspector.noise_normal.device
    frames = torch.from_numpy(held_out.frames[chosen]).to(device)
    image, model = to_images(frames, device), inspector.model
    noised = [
        model.schedule.add_noise(image, t, noise)
        for t, noise in zip((T_NORMAL, T_NOISIER), inspector.noises, strict=True)
    ]
    made = model.reconstruct(image, T_NORMAL, T_NOISIER, *inspector.noises)
    maps, scores, _ = inspector(frames)
    columns: list[tuple[str, Any]] = [
        ("input", image),
        (f"noised, t = {T_NORMAL}", noised[0]),
        (f"noised, t = {T_NOISIER}", noised[1]),
        (f"one step from {T_NORMAL}", made.normal),
        (f"one step from {T_NOISIER}", made.noisier),
        ("guided", made.guided),
        ("map", maps),
        ("truth", torch.from_numpy(held_out.masks[chosen])),
    ]
    height, width = image.shape[2:]
    rows = len(chosen)
    size = (1.6 * len(columns), 1.6 * rows * height / width + 0.3)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(rows, len(columns), squeeze=False)
    for column, (title, pictures) in enumerate(columns):
        axes[0, column].set_title(title, fontsize=9)
        for row in range(rows):
            _show(axes[row, column], pictures[row], MAP_LIMITS if title == "map" else (0.0, 1.0))
    for row, score in enumerate(scores.tolist()):
        axes[row, 0].set_ylabel(f"score {score:.1f}", fontsize=9)
    _save(figure, out, dpi=160)


def _save(figure: Figure, out: Path, dpi: int) -> None:
    with replacing(out) as temporary:
        figure.savefig(temporary, dpi=dpi, format="png")


def _show(axes: Any, picture: torch.Tensor, limits: tuple[float, float]) -> None:
    """One panel: [3, H, W] RGB or [H, W], without ticks."""
    pixels = picture.float().cpu().numpy()
    if pixels.ndim == 3:
        pixels = pixels.transpose(1, 2, 0).clip(*limits)
    axes.imshow(pixels, cmap="gray", vmin=limits[0], vmax=limits[1], interpolation="nearest")
    axes.set(xticks=[], yticks=[])


def _by_name(entries: list[dict[str, Any]], kind: str) -> dict[str, tuple[list[int], list[float]]]:
    """Curves of the entries that have `kind`: (steps, values) of each name in it."""
    curves: dict[str, tuple[list[int], list[float]]] = defaultdict(lambda: ([], []))
    for entry in entries:
        for name, value in entry.get(kind, {}).items():
            curves[name][0].append(entry["step"])
            curves[name][1].append(value)
    return curves


def _painting_ended(entries: list[dict[str, Any]]) -> int | None:
    return next((entry["step"] for entry in entries if "painting" in entry), None)


def _best(entries: list[dict[str, Any]]) -> int | None:
    """The step of the checkpoint that was chosen: the last of the best."""
    values = {
        entry["step"]: SelectionScore(**entry["selection"]).value
        for entry in entries
        if "selection" in entry
    }
    return max(values, key=lambda step: (values[step], step), default=None)


def _smooth(values: list[float]) -> NDArray[np.float64]:
    """Exponential average without the pull of its start."""
    smooth, average = np.empty(len(values)), 0.0
    for index, value in enumerate(values):
        average = SMOOTHING * average + (1 - SMOOTHING) * value
        smooth[index] = average / (1 - SMOOTHING ** (index + 1))
    return smooth
