"""The edge networks rearranged for the line: the same answers, from fewer and better operations.

Nothing is approximated and nothing retrained. With fixed scales and noises,

    x_t = a x + b z                     a = sqrt(abar_t), b = sqrt(1 - abar_t), z the noise
    stem(x_t) = a stem(x) + K           K = stem(b z) + bias of the scale: a constant map

because the stem is linear. So the noising is gone, and one pass of the stem serves both scales.
What the stem reads is then the picture itself, which has 256 levels: less 128 of them, it is int8
with zero point 0, exactly. The segmentation's stem sees its pictures less CENTRE from the start,
and is linear too: the sum of one stem for each of the four that it sees. (As one, behind a Concat,
OpenVINO calculates it in float.) What stands out is brought to the same grey levels, and the lines
in it are added to the sum.
"""

from __future__ import annotations

import math
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deploy.batch_norm import fold_batch_norm
from deploy.folded_pixels import FoldedContrast, folded_score
from training.model import CENTRE, GUIDANCE, T_NOISIER, T_NORMAL, FixedNoise
from training.networks.contrast import LEVELS
from training.networks.edge import EdgeUNet
from training.networks.lines import strongest

GREY = 1 / 255
# Weights of the convolutions that read pictures less CENTRE.
SEGMENTATION_WEIGHTS = tuple(f"segmentation_stems.{index}.weight" for index in range(4))
PICTURE_WEIGHTS = frozenset(("stem.weight", *SEGMENTATION_WEIGHTS, "lines.find.weight"))
# What stands out, -1 .. 1, in grey levels less 128.
CONTRAST = LEVELS * GREY


class FoldedInspector(nn.Module):
    """What `FixedNoise` computes, for one frame and networks of the family `edge`."""

    def __init__(self, inspector: FixedNoise) -> None:
        super().__init__()
        inspector = deepcopy(inspector).eval().float()
        fold_batch_norm(inspector)
        model = inspector.model
        assert isinstance(model.unet, EdgeUNet) and isinstance(model.segmentation, EdgeUNet)
        self.colours = model.colours
        self.unet, self.segmentation = model.unet, model.segmentation
        self.times = model.unet.fold // model.segmentation.fold
        self.grey_thrice: Tensor
        self.register_buffer("grey_thrice", torch.ones(3, 1, 1, 1))
        self.pull = GUIDANCE * float(model.schedule.noise_level(T_NORMAL, torch.empty(0))) ** 2
        with torch.no_grad():
            self.constants = _NoiseConstants(inspector)
            self.stem = _noised_conv(model.unet, model.colours)
            # Of image, reconstruction, and what stands out against either.
            stems = _picture_convs(model.segmentation, model.colours)
            for stem in stems[2:]:
                stem.weight /= CONTRAST
            self.segmentation_stems = nn.ModuleList(stems)
            self.lines = _FoldedLines(model.segmentation)
            _reorder_head(model.unet, model.colours)
            _nest(self.stem, model.unet.head, model.segmentation.fold, model.colours)
        self.contrast = FoldedContrast(model.segmentation.fold, model.colours)
        # Their work is done by the stems above; an exported graph and a fine-tuning must not
        # carry them along.
        for network in (self.unet, self.segmentation):
            del network.stem, network.scale_bias, network.lines

    def halve(self) -> None:
        """Bring all but the arithmetic between the networks to float16, in place."""
        for part in self.children():
            if part is not self.contrast:
                part.half()

    def forward(self, frame: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """frame: uint8 [1, H, W, 3] BGR; the outputs are those of `FixedNoise`."""
        network = self.constants.signal.dtype
        # TensorRT reads bytes with a Cast alone, and makes them with one.
        picture = (self._painted(fold(frame.float(), self.segmentation.fold)) - 128.0) * GREY
        folded = F.pixel_unshuffle(picture, self.times).to(network)
        x = F.relu(self.stem(folded) * self.constants.signal + self.constants.noise)
        normal, noisier = self.unet.features(x).float().chunk(2)
        guided = normal + self.pull * (noisier.clamp(0.0, 1.0) - normal)
        guided = F.pixel_shuffle(guided.clamp(0.0, 1.0), self.times)
        # Half precision of the networks, if any, leaves the arithmetic between them alone.
        *seen, crossed = self._seen(picture, guided)
        y = sum(
            stem(one.to(network)) for stem, one in zip(self.segmentation_stems, seen, strict=True)
        )
        y = y + self.lines(crossed.to(network))
        logits = self.segmentation.features(F.relu(y)).float()
        levels = self._levels(guided).to(torch.uint8)
        anomaly_map = F.pixel_shuffle(logits, self.segmentation.fold).squeeze(1)
        return anomaly_map, folded_score(logits), levels

    def _painted(self, folded: Tensor) -> Tensor:
        """`DiffusionAD.painted` of a folded frame: of a grey one, one colour is all.

        Taken here it is whole maps that are left out, where it was every third value.
        """
        return folded if self.colours == 3 else folded[:, 1::3]

    def _levels(self, guided: Tensor) -> Tensor:
        """The folded reconstruction as the picture [1, H, W, 3] that it is of, in grey levels."""
        levels = (guided * 255.0).round()
        if self.colours == 3:
            return unfold(levels, self.segmentation.fold)
        grey = F.pixel_shuffle(levels, self.segmentation.fold)
        # A convolution is how both runtimes write a value three times in a row fastest.
        return F.conv2d(grey, self.grey_thrice).permute(0, 2, 3, 1)

    def _seen(self, picture: Tensor, guided: Tensor) -> list[Tensor]:
        """What the segmentation's stems read, of the folded picture and the reconstruction.

        Behind those four, the grey picture that lines may cross.
        """
        rebuilt = guided - CENTRE
        against = (picture - rebuilt, self.contrast.detail(picture))
        levels = [self.contrast.standing_out(difference) for difference in against]
        contrast = [GREY * each for each in levels]
        crossed = contrast[-1] if self.colours == 1 else GREY * self.contrast.grey(levels[-1])
        return [picture, rebuilt, *contrast, crossed]


def fold(picture: Tensor, side: int) -> Tensor:
    """[1, H, W, C] -> [1, side * side * C, H / side, W / side]: squares of pixels as channels.

    In two moves, each of which leaves runs of values together: ONNX Runtime makes them five times
    as fast as the one that they add up to.
    """
    _, height, width, channels = picture.shape
    rows, columns = height // side, width // side
    strips = picture.reshape(1, rows, side, columns, side * channels)
    squares = strips.transpose(2, 3).reshape(1, rows * columns, side * side * channels)
    return squares.transpose(1, 2).reshape(1, side * side * channels, rows, columns)


def unfold(x: Tensor, side: int) -> Tensor:
    """The inverse of `fold`."""
    _, stacked, rows, columns = x.shape
    channels = stacked // side**2
    squares = x.reshape(1, stacked, rows * columns).transpose(1, 2)
    strips = squares.reshape(1, rows, columns, side, side * channels).transpose(2, 3)
    return strips.reshape(1, rows * side, columns * side, channels)


class _FoldedLines(nn.Module):
    """`training.networks.lines.Lines` as two convolutions, for what stands out in grey levels."""

    def __init__(self, network: EdgeUNet) -> None:
        super().__init__()
        lines = network.lines
        assert lines is not None and isinstance(lines.mix[0], nn.Conv2d)
        outputs, inputs, side, _ = lines.filters.shape
        self.find = nn.Conv2d(inputs, outputs, side, padding=side // 2, bias=False)
        self.find.weight.copy_(lines.filters / CONTRAST)
        self.mix = lines.mix[0]

    def forward(self, grey: Tensor) -> Tensor:
        mixed: Tensor = self.mix(strongest(F.relu(self.find(grey))))
        return mixed


class _NoiseConstants(nn.Module):
    """What the stem of the reconstruction network adds, whatever the picture.

    signal: [2, 1, 1, 1], sqrt(abar_t) of either scale; noise: [2, C, h, w], K above, with the
    grey level CENTRE that the picture lacks.
    """

    def __init__(self, inspector: FixedNoise) -> None:
        super().__init__()
        unet, schedule = inspector.model.unet, inspector.model.schedule
        assert isinstance(unet, EdgeUNet)
        grey = torch.full(inspector.noise_normal.shape, CENTRE)
        signals, noises = [], []
        for t, noise in zip((T_NORMAL, T_NOISIER), inspector.noises, strict=True):
            noised = schedule.add_noise(grey, t, noise)
            signals.append(float(schedule.signal(t, grey)))
            noises.append(unet.stem_features(noised, torch.full((1,), t)))
        self.signal: Tensor
        self.noise: Tensor
        self.register_buffer("signal", torch.tensor(signals).view(2, 1, 1, 1))
        self.register_buffer("noise", torch.cat(noises))


def _stem(network: EdgeUNet) -> nn.Conv2d:
    first = network.stem[0]
    assert isinstance(first, nn.Conv2d)
    return first


def _noised_conv(network: EdgeUNet, colours: int) -> nn.Conv2d:
    """The stem of the reconstruction network for a picture; grey is the same three times."""
    (conv,) = _picture_convs(network, 3)
    if colours == 1:
        outputs, inputs, height, width = conv.weight.shape
        weight = conv.weight.view(outputs, -1, 3, height, width).sum(2)
        conv = nn.Conv2d(inputs // 3, outputs, (height, width), padding=(1, 1), bias=False)
        conv.weight.copy_(weight)
    return conv


def _picture_convs(network: EdgeUNet, colours: int) -> list[nn.Conv2d]:
    """The stem of a network as one for each picture, for BGR pictures from `fold`.

    The network's own order of channels is (picture, RGB, y, x), theirs (y, x, BGR). The first of
    the segmentation's has the bias of all; the reconstruction's is in the noise's constants.
    """
    first, side = _stem(network), network.fold
    outputs, _, height, width = first.weight.shape
    weights = first.weight.view(outputs, -1, colours, side, side, height, width)
    weights = weights.flip(2).permute(1, 0, 3, 4, 2, 5, 6)
    convs = []
    for weight in weights.reshape(len(weights), outputs, -1, height, width):
        conv = nn.Conv2d(weight.shape[1], outputs, (height, width), padding=(1, 1), bias=False)
        conv.weight.copy_(weight)
        convs.append(conv)
    if network.scale_bias is None:
        convs[0].bias = first.bias
    return convs


def _reorder_head(network: EdgeUNet, colours: int) -> None:
    """Let the last convolution give its channels in the order of `fold`, blue first."""
    side = network.fold
    order = torch.arange(colours * side**2).view(colours, side, side)
    order = order.flip(0).permute(1, 2, 0).reshape(-1)
    for tensor in network.head.parameters():
        tensor.copy_(tensor[order].clone())


def _nest(stem: nn.Conv2d, head: nn.Conv2d, side: int, colours: int) -> None:
    """Let the stem read, and the head give, what is folded by `side` and then once more.

    Both have the channels of one `fold`; `pixel_unshuffle` puts the squares of the second behind
    those of the first.
    """
    times = math.isqrt(stem.weight.shape[1] // colours) // side
    order = torch.arange(stem.weight.shape[1]).view(times, side, times, side, colours)
    order = order.permute(1, 3, 4, 0, 2).reshape(-1)
    stem.weight.copy_(stem.weight[:, order].clone())
    for tensor in head.parameters():
        tensor.copy_(tensor[order].clone())
