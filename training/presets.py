"""What distinguishes the models that normline trains: their networks and their recipe."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from training.budget import Budget
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
        batch_size: images a step, on a GPU (see `images_a_step`).
        learning_rate: of the reconstruction network and of the segmentation network.
        painting_share: of the budget, in which the reconstruction network learns. After it that
            network stays as it is, a step costs a third less, and the segmentation network goes on.
        score_weight: weight of the loss on the image score itself (0: none, as in the paper).
        good_every: one of so many images of a step is left without an anomaly.
        colours: that the edge networks paint and compare; 1 where all images are grey.
    """

    family: Literal["official", "edge"]
    unet: dict[str, Any]
    segmentation: dict[str, Any]
    prediction: Prediction
    t_normal: tuple[int, int]
    t_noisier: tuple[int, int]
    batch_size: int
    learning_rate: tuple[float, float]
    painting_share: float
    score_weight: float
    good_every: int
    colours: int = 3

    def images_a_step(self, on_gpu: bool) -> int:
        """How many images make a batch: on a CPU, whose time goes by images, half of a GPU's.

        Twice as many steps in the same time taught the edge presets more (training/experiments.md).
        """
        return self.batch_size if on_gpu or self.family == "official" else self.batch_size // 2

    def for_grey(self) -> Preset:
        """The same for grey images, whose colours are one. The paper's network knows no such."""
        return self if self.family == "official" else replace(self, colours=1)


def _edge(unet: dict[str, Any], segmentation: dict[str, Any]) -> Preset:
    """A member of the edge family: one recipe, networks of several sizes."""
    return Preset(
        family="edge",
        unet=unet,
        segmentation=segmentation,
        prediction="image",
        t_normal=(150, 251),
        t_noisier=(300, 501),
        batch_size=16,
        learning_rate=(2e-3, 2e-3),
        painting_share=0.4,
        score_weight=0.05,
        good_every=4,
    )


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
        painting_share=1.0,
        score_weight=0.0,
        good_every=2,
    ),
    # For a slow station or a fast line, and the product of `normline demo`.
    "edge-s": _edge(
        unet={"fold": 8, "widths": (48, 64, 80), "blocks": 1},
        segmentation={"fold": 4, "widths": (32, 48, 64, 80), "blocks": 2},
    ),
    # What two processor cores train well within an hour.
    "edge-m": _edge(
        unet={"fold": 8, "widths": (96, 128, 160), "blocks": 2},
        segmentation={"fold": 4, "widths": (64, 96, 128, 160), "blocks": 2},
    ),
    "edge-l": _edge(
        unet={"fold": 8, "widths": (128, 192, 256), "blocks": 2},
        segmentation={"fold": 4, "widths": (128, 192, 256, 256), "blocks": 2},
    ),
}


EDGE = "edge"
NAMES = (EDGE, *PRESETS)


# On a CPU, a step of edge-m takes three times as long as one of edge-s. On the magnetic tiles 12
# minutes of one core gave it an image AUROC of 0.932, edge-s 0.954; an hour of two gave it 0.975.
# That is of frames of 256 x 256 pixels.
SHORT_S = 40 * 60.0


def resolve(name: str, budget: Budget, input_size: tuple[int, int], *, on_gpu: bool) -> str:
    """The preset that a name in `NAMES` stands for: `edge` is the one that a station is built for.

    That is edge-m, but edge-s where a CPU has little time for frames of that size.
    """
    if name != EDGE:
        return name
    least_s = SHORT_S * input_size[0] * input_size[1] / 256**2
    short = budget.seconds is not None and budget.seconds < least_s
    return "edge-s" if short and not on_gpu else "edge-m"


def preset(name: str) -> Preset:
    """The preset of that name."""
    try:
        return PRESETS[name]
    except KeyError:
        raise InputError(f"no preset {name!r}: choose one of {', '.join(PRESETS)}") from None
