"""What distinguishes the models that normline trains: their networks and their recipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from training.errors import InputError

Prediction = Literal["noise", "image"]


@dataclass(frozen=True)
class Preset:
    """One row of the table below.

    Attributes:
        family: `official` (paper's networks, by name and shape) or `edge`.
        unet, segmentation: arguments of the two networks.
        prediction: what the reconstruction network predicts. The paper's predicts the noise; one
            step needs no more than the image, and a narrow network can paint an image but cannot
            reproduce noise.
        t_normal, t_noisier: noise scales drawn in training, half-open. Tests use 200 and 400.
        batch_size: images a step.
        learning_rate: of the reconstruction network and of the segmentation network.
        score_weight: weight of the loss on the image score itself (0: none, as in the paper).
    """

    family: Literal["official", "edge"]
    unet: dict[str, Any]
    segmentation: dict[str, Any]
    prediction: Prediction
    t_normal: tuple[int, int]
    t_noisier: tuple[int, int]
    batch_size: int
    learning_rate: tuple[float, float]
    score_weight: float


PRESETS: dict[str, Preset] = {
    "paper": Preset(
        family="official",
        unet={"base": 128},
        segmentation={"base": 64},
        prediction="noise",
        t_normal=(0, 300),
        t_noisier=(300, 1000),
        batch_size=16,
        learning_rate=(1e-4, 1e-5),
        score_weight=0.0,
    ),
    "edge": Preset(
        family="edge",
        unet={"fold": 8, "widths": (96, 128, 160), "blocks": 2},
        segmentation={"fold": 4, "widths": (64, 96, 128, 160), "blocks": 2},
        prediction="image",
        t_normal=(150, 251),
        t_noisier=(300, 501),
        batch_size=16,
        learning_rate=(2e-3, 2e-3),
        score_weight=0.05,
    ),
    # Small enough to travel with the source: the product of `normline demo`.
    "edge-s": Preset(
        family="edge",
        unet={"fold": 8, "widths": (48, 64, 80), "blocks": 1},
        segmentation={"fold": 4, "widths": (32, 48, 64, 80), "blocks": 2},
        prediction="image",
        t_normal=(150, 251),
        t_noisier=(300, 501),
        batch_size=16,
        learning_rate=(2e-3, 2e-3),
        score_weight=0.05,
    ),
}


def preset(name: str) -> Preset:
    """The preset of that name."""
    try:
        return PRESETS[name]
    except KeyError:
        raise InputError(f"no preset {name!r}: choose one of {', '.join(PRESETS)}") from None
