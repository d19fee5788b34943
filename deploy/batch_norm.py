"""Normalisation that is a constant after training, multiplied into the convolution before it."""

from __future__ import annotations

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_batch_norm(module: nn.Module) -> None:
    """Multiply every BatchNorm that follows a convolution in a Sequential into it, in place."""
    for child in module.children():
        fold_batch_norm(child)
    if not isinstance(module, nn.Sequential):
        return
    for first, second in zip(list(module), list(module)[1:], strict=False):
        if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
            at = [name for name, child in module.named_children() if child in (first, second)]
            module[int(at[0])] = fuse_conv_bn_eval(first, second)
            module[int(at[1])] = nn.Identity()
