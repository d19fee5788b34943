"""Activations that are computed again give the gradients of those that are kept."""

from __future__ import annotations

import torch

from training.networks.unet import UNet


def gradients(checkpointing: bool) -> list[torch.Tensor]:
    torch.manual_seed(0)
    unet = UNet(32, (1, 2), (1,))
    for parameter in unet.parameters():  # zeroed convolutions would hide what comes before them
        torch.nn.init.normal_(parameter, std=0.05)
    unet.checkpointing = checkpointing
    unet(torch.rand(2, 3, 16, 16), torch.tensor([200, 400])).square().mean().backward()
    return [parameter.grad for parameter in unet.parameters() if parameter.grad is not None]


def test_gradients_are_the_same() -> None:
    kept, again = gradients(False), gradients(True)
    assert len(kept) == len(again) > 0
    assert all(torch.equal(one, two) for one, two in zip(kept, again, strict=True))
