"""The trainings that the comparisons need, each one change away from the preset."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from training.benchmark.inspectors import Inspector, Rebuild, one_scale, two_scales
from training.diffusion import Step
from training.model import (
    T_NOISIER,
    T_NORMAL,
    DiffusionAD,
    FixedNoise,
    Networks,
    Reconstruction,
    contrast,
)
from training.networks.edge import EdgeUNet
from training.order import AS_PRESET, Variant
from training.presets import Preset
from training.selection import SelectionScore, SelectionSet
from training.synthesis import Synthesizer
from training.synthesis.defects import PAINTERS

# Every scale from 0 up to twice the noisier one of the test, so that denoising step by step, and
# other pairs of scales, meet none that training has not seen.
WIDE_NORMAL, WIDE_NOISIER = (0, 300), (300, 800)
BLUR = 15


class BlurredCopy(DiffusionAD):
    """No diffusion: the segmentation net sees the image and a blurred copy of it.

    The baseline that a reconstruction has to beat.
    """

    @classmethod
    def of(cls, recipe: Networks) -> DiffusionAD:
        """Without the network that would paint."""
        model = super().of(recipe)
        model.unet = nn.Identity()
        return model

    def reconstruct(
        self,
        image: Tensor,
        t_normal: Step,
        t_noisier: Step,
        noise_normal: Tensor,
        noise_noisier: Tensor,
    ) -> Reconstruction:
        """The blurred copy, in the place of all three reconstructions."""
        padded = F.pad(self.painted(image), (BLUR // 2,) * 4, mode="reflect")
        # Down and across apart: a fifth of the time, which would else be taken from its training.
        blurred = F.avg_pool2d(F.avg_pool2d(padded, (BLUR, 1), stride=1), (1, BLUR), stride=1)
        return Reconstruction(blurred, blurred, blurred)


class Unchanged(Synthesizer):
    """Training without synthetic anomalies: the image stays as it is."""

    def paste(
        self, image: NDArray[np.uint8], foreground: NDArray[np.bool_] | None, rng: Generator
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Paste nothing."""
        return image, np.zeros(image.shape[:2], np.bool_)


class TexturesAlone(Synthesizer):
    """The anomalies of the paper, and no drawn defects."""

    texture_share = 1.0


class SurfacesAlone(Synthesizer):
    """An object gets the defects of a surface: nothing happens to its shape."""

    object_painters = PAINTERS


class Sharp(Synthesizer):
    """Outlines as sharp as they are drawn, whatever the camera shows."""

    def focused(self, opacity: NDArray[np.float32], rng: Generator) -> NDArray[np.float32]:
        """The outline as it is."""
        return opacity


class EvenUnseen(Synthesizer):
    """All that is pasted is marked, whether it can be seen or not."""

    def seen(
        self,
        area: NDArray[np.bool_],
        change: NDArray[np.float32],
        strength: NDArray[np.float32],
    ) -> NDArray[np.bool_]:
        """All of it."""
        return area


def _judging_by(rebuild: Rebuild, segments: bool = True) -> type[SelectionSet]:
    """Judges checkpoints by what an `Inspector` of these arguments says, as the row is judged."""

    class AsUsed(SelectionSet):
        def score(self, inspector: FixedNoise) -> SelectionScore:
            size = self.frames.shape[1], self.frames.shape[2]
            used = Inspector(inspector.model, size, 0, rebuild, segments)
            return super().score(used.eval().to(inspector.noise_normal.device))

    return AsUsed


def _one_scale(noisier: bool) -> Variant:
    """The preset with both draws around one scale, and nothing of the other in what is used."""

    def recipe(preset: Preset) -> Preset:
        limits = preset.t_noisier if noisier else preset.t_normal
        return replace(preset, t_normal=limits, t_noisier=limits)

    selection = _judging_by(one_scale(T_NOISIER if noisier else T_NORMAL))
    return Variant(recipe, lambda preset: _guided(preset, 0.0), selection=selection)


def _guided(preset: Preset, weight: float) -> DiffusionAD:
    model = AS_PRESET.build(preset)
    model.guidance = weight
    return model


def seeing(reconstruction: bool, surroundings: bool) -> Variant:
    """What stands out from the one, the other or both: the channels of the rest are 0."""

    def build(preset: Preset) -> DiffusionAD:
        model = AS_PRESET.build(preset)
        either = torch.tensor((reconstruction, surroundings))
        kept = either.repeat_interleave(model.colours).view(1, -1, 1, 1)
        model.contrast = lambda image, rebuilt: contrast(image, rebuilt) * kept.to(image.device)
        return model

    return Variant(build=build)


def _without_lines(preset: Preset) -> DiffusionAD:
    model = AS_PRESET.build(preset)
    if isinstance(model.segmentation, EdgeUNet):
        model.segmentation.lines = None
    return model


def guided_by(weight: float) -> Variant:
    """The preset with another guidance weight."""
    return Variant(build=lambda preset: _guided(preset, weight))


def at_scales(t_normal: int, t_noisier: int) -> Variant:
    """The preset trained around another pair of scales, as widely as around its own."""

    def around(t: int, limits: tuple[int, int]) -> tuple[int, int]:
        half = (limits[1] - limits[0]) // 2
        return max(0, t - half), min(1000, t + half)

    return Variant(
        lambda preset: replace(
            preset,
            t_normal=around(t_normal, preset.t_normal),
            t_noisier=around(t_noisier, preset.t_noisier),
        ),
        selection=_judging_by(two_scales(t_normal, t_noisier)),
    )


PRESET = AS_PRESET
SMALLER_SCALE, LARGER_SCALE = _one_scale(noisier=False), _one_scale(noisier=True)
WIDE = Variant(lambda preset: replace(preset, t_normal=WIDE_NORMAL, t_noisier=WIDE_NOISIER))
NO_LINES = Variant(build=_without_lines)
PAINTING_THROUGHOUT = Variant(lambda preset: replace(preset, painting_share=1.0))
NO_DIFFUSION = Variant(build=BlurredCopy.of)
TEXTURES_ALONE = Variant(synthesizer=TexturesAlone)
SURFACES_ALONE = Variant(synthesizer=SurfacesAlone)
SHARP = Variant(synthesizer=Sharp)
EVEN_UNSEEN = Variant(synthesizer=EvenUnseen)
NO_SYNTHESIS = Variant(
    # Its reconstruction is all that it has.
    lambda preset: replace(preset, score_weight=0.0, painting_share=1.0),
    synthesizer=Unchanged,
    selection=_judging_by(two_scales(), segments=False),
)
