"""What the segmentation net is trained on, and the score that a verdict rests on.

All functions take logits, not probabilities: the exported graph ends in logits, and the log of a
sigmoid keeps its digits where the sigmoid has saturated.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

FOCAL_ALPHA = 0.5
FOCAL_GAMMA = 4.0
FOCAL_WEIGHT = 5.0
# The image score is that of the SQUARES loudest squares of SQUARE x SQUARE pixels: twice as many
# pixels as the official 50 of 256 x 256, in few places.
SQUARE, SQUARES = 4, 8


def focal_loss(logits: Tensor, mask: Tensor) -> Tensor:
    """Focal loss, averaged over all pixels (Lin et al., "Focal Loss for Dense Object Detection").

    `logits` and `mask` (0 or 1) have the same shape; anomalous pixels weigh `FOCAL_ALPHA`, normal
    ones the rest of 1. Returns a float32 scalar.
    """
    logits, mask = logits.float(), mask.float()
    # sigmoid(-x) = 1 - sigmoid(x), without the cancellation.
    anomalous = -FOCAL_ALPHA * (-logits).sigmoid().pow(FOCAL_GAMMA) * F.logsigmoid(logits)
    normal = -(1.0 - FOCAL_ALPHA) * logits.sigmoid().pow(FOCAL_GAMMA) * F.logsigmoid(-logits)
    return (mask * anomalous + (1.0 - mask) * normal).mean()


def smooth_l1_loss(logits: Tensor, mask: Tensor) -> Tensor:
    """Smooth L1 between the probability of an anomaly and the mask, averaged over all pixels."""
    return F.smooth_l1_loss(logits.float().sigmoid(), mask.float())


def segmentation_loss(logits: Tensor, mask: Tensor) -> Tensor:
    """5 focal + smooth L1, the segmentation's share of DiffusionAD's loss (arXiv 2303.08730)."""
    return FOCAL_WEIGHT * focal_loss(logits, mask) + smooth_l1_loss(logits, mask)


def top_k_score(maps: Tensor, k: int) -> Tensor:
    """Image score [B]: mean of the `k` largest pixels of each map [B, ...].

    The official code averages the 50 largest of 256 x 256 probabilities.
    """
    values = maps.flatten(1)
    return values.topk(min(k, values.shape[1]), dim=1).values.mean(1)


def squares_score(maps: Tensor) -> Tensor:
    """Image score [B]: the mean of the `SQUARES` squares of pixels that speak most for a defect.

    Of maps [B, H, W] or [B, 1, H, W], sides multiples of `SQUARE`. Between the official mean of
    scattered pixels, where grain adds up, and that of one window (DRAEM, Zavrtanik et al., arXiv
    2108.07610), which no crack fills: a hole is a few squares in one place, a crack in a row.
    """
    maps = maps.reshape(len(maps), 1, *maps.shape[-2:])
    return top_k_score(F.avg_pool2d(maps, SQUARE), SQUARES)


def overlap_loss(logits: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
    """Cross-entropy over pixels plus soft Dice of each anomalous image: the edge presets' loss.

    All are [B, 1, H, W]; `weight` is that of each anomalous pixel. The focal loss of the paper
    takes thousands of epochs to leave "all normal"; Dice (Milletari et al., "V-Net") pulls on
    every missed pixel. Taken image by image, and with pixels weighted by the size of their
    region (`region_weights`), it gives a five-pixel hole a say beside a wide stain.
    """
    logits, mask = logits.float(), mask.float()
    probability = logits.sigmoid()
    area = (weight * mask).flatten(1).sum(1)
    shared = 2.0 * (weight * probability * mask).flatten(1).sum(1) + 1.0
    spread = torch.where(mask > 0, weight, 1.0) * probability.square()
    dice = 1.0 - shared / (spread.flatten(1).sum(1) + area + 1.0)
    anomalous = (area > 0).float()
    missed = (dice * anomalous).sum() / anomalous.sum().clamp(min=1.0)
    return F.binary_cross_entropy_with_logits(logits, mask) + missed
