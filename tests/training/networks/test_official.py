"""The paper's networks are the official ones: by name, by shape, and in what they compute."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from training.networks.segmentation import SegmentationNet
from training.networks.unet import UNet

# The official networks by the names of the reference: 64 px with attention at 32, 16 and 8 px is
# attention at all levels but the first.
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "unet_64_base32": lambda: UNet(32, multipliers=(1, 2, 3, 4), attention_levels=(1, 2, 3)),
    "unet_256_base128": lambda: UNet(128),
    "seg_base16": lambda: SegmentationNet(16),
    "seg_base64": lambda: SegmentationNet(64),
}


def without_weights(name: str) -> nn.Module:
    """Names and shapes alone: the full U-Net would take half a gigabyte."""
    with torch.device("meta"):
        return NETWORKS[name]()


def with_reference_weights(name: str) -> nn.Module:
    """The weights that the reference's README prescribes, a function of each tensor's name."""
    network = NETWORKS[name]()
    state = network.state_dict()
    for key, tensor in state.items():
        if tensor.is_floating_point():
            random = np.random.RandomState(zlib.crc32(key.encode()) & 0x7FFFFFFF)
            drawn = random.standard_normal(tuple(tensor.shape)).astype(np.float32)
            if key.endswith("running_var"):
                drawn = abs(drawn) + 0.5
            elif drawn.ndim == 1:
                drawn = 0.1 * drawn + float(key.endswith("weight"))
            else:
                drawn = drawn / np.sqrt(np.prod(drawn.shape[1:]))
            state[key] = torch.from_numpy(drawn.astype(np.float32))
    network.load_state_dict(state)
    return network.eval()


@pytest.fixture(scope="module")
def numbers(shared: Path) -> dict[str, NDArray]:
    with np.load(shared / "reference" / "network_fixtures.npz") as arrays:
        return {name: arrays[name] for name in arrays.files}


def test_unet_computes_what_the_official_one_does(numbers: dict[str, NDArray]) -> None:
    network = with_reference_weights("unet_64_base32")
    with torch.inference_mode():
        noise = network(torch.from_numpy(numbers["unet_in"]), torch.from_numpy(numbers["unet_t"]))
    np.testing.assert_allclose(noise.numpy(), numbers["unet_out"], rtol=0, atol=1e-4)


def test_segmentation_computes_what_the_official_one_does(numbers: dict[str, NDArray]) -> None:
    network = with_reference_weights("seg_base16")
    with torch.inference_mode():
        logits = network(torch.from_numpy(numbers["seg_in"]))
    probabilities = logits.sigmoid().numpy()
    np.testing.assert_allclose(probabilities, numbers["seg_out"], rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_tensor_has_its_official_name_and_shape(name: str, shared: Path) -> None:
    file = shared / "reference" / "official_state_dict_shapes.json"
    expected = json.loads(file.read_text())[name]
    state = without_weights(name).state_dict()
    assert {key: list(tensor.shape) for key, tensor in state.items()} == expected


@pytest.mark.parametrize(
    ("name", "count"), [("unet_256_base128", 131_654_403), ("seg_base64", 28_373_569)]
)
def test_parameter_counts_of_the_paper(name: str, count: int) -> None:
    network = without_weights(name)
    assert sum(parameter.numel() for parameter in network.parameters()) == count


def test_float16_is_told_the_noise_scale_that_float32_is() -> None:
    """About 400 its numbers are a quarter apart, of which sine and cosine make another scale."""
    told = []
    for dtype in (torch.float32, torch.float16):
        network = UNet(128, multipliers=(1,), attention_levels=()).to(dtype)
        network.time_embedding.register_forward_pre_hook(lambda _, given: told.append(given[0]))
        with torch.inference_mode():
            network(torch.rand(2, 3, 2, 2, dtype=dtype), torch.tensor([399, 401]))
    exact, halved = told
    assert halved.dtype == torch.float16 and (exact[0] - exact[1]).abs().max() > 0.5
    torch.testing.assert_close(halved.float(), exact, atol=1e-3, rtol=0)


def test_an_untrained_unet_predicts_no_noise() -> None:
    """Its last convolution starts at zero, as those of all its residual blocks do."""
    network = UNet(32, multipliers=(1, 1), attention_levels=(1,))
    with torch.inference_mode():
        noise = network(torch.rand(2, 3, 8, 16), torch.tensor([0, 999]))
    assert noise.shape == (2, 3, 8, 16) and not noise.any()
