"""Checkpoints of the official DiffusionAD code become runs.

Such a file is a pickled dictionary: `unet_model_state_dict` and `seg_model_state_dict` hold the
weights, `n_epoch` the epoch, `args` the configuration that it was trained with.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from training.errors import InputError
from training.model import T_NOISIER, T_NORMAL
from training.networks.segmentation import SegmentationNet
from training.networks.unet import HEADS, UNet
from training.pixels import PIXELS
from training.provenance import code_version
from training.run import SETTINGS, RunSettings, save_run

UNET, SEGMENTATION = "unet_model_state_dict", "seg_model_state_dict"
INPUT_SIZE = (256, 256)
ZIP = b"PK\x03\x04"
# What the weights do not show and the inference takes for granted. Any other value would give
# scores without complaint, and wrong ones.
ASSUMED = {
    "T": 1000,
    "beta_schedule": "linear",
    "channels": 3,
    "num_heads": HEADS,
    "num_head_channels": -1,
    "noise_fn": "gauss",
    "eval_normal_t": T_NORMAL,
    "eval_noisier_t": T_NOISIER,
    "condition_w": 1,
}

State = dict[str, Tensor]


def import_checkpoint(path: Path, out: Path) -> None:
    """Turn an official checkpoint into a run in the folder `out`, named after that folder.

    The file is unpickled with `weights_only=True`: whatever it holds beside tensors and plain
    values is refused, not run.

    Raises:
        InputError: `out` holds a run; the file is missing, no checkpoint, holds other networks
            than the official ones at any width, or was trained under assumptions that the
            inference does not share.
    """
    if (out / SETTINGS).exists():
        raise InputError(f"{out} already holds a run: give another --out")
    checkpoint = _load(path)
    arguments = checkpoint.get("args")
    arguments = arguments if isinstance(arguments, dict) else {}
    _check_assumptions(arguments, path)
    unet_state = _state(checkpoint, UNET, path)
    segmentation_state = _state(checkpoint, SEGMENTATION, path)
    unet = _unet_arguments(unet_state, path)
    segmentation = {"base": _width(segmentation_state, "encoder_segment.block1.0.weight", path)}
    with torch.device("meta"):
        _check_tensors(UNet(**unet), unet_state, f"{path}: {UNET}")
        _check_tensors(
            SegmentationNet(**segmentation), segmentation_state, f"{path}: {SEGMENTATION}"
        )
    settings = RunSettings(
        product=out.resolve().name,
        preset="paper",
        family="official",
        unet=unet,
        segmentation=segmentation,
        prediction="noise",
        input_size=_input_size(arguments, path),
        pixels=PIXELS,
        code_version=code_version(),
        data_digest="unknown",
        training={
            "imported_from": path.name,
            "sha256": _sha256(path),
            "epoch": checkpoint.get("n_epoch"),
        },
    )
    weights = {f"unet.{name}": tensor for name, tensor in unet_state.items()}
    weights |= {f"segmentation.{name}": tensor for name, tensor in segmentation_state.items()}
    save_run(out, settings, weights)


def _load(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            start = file.read(len(ZIP))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    if start != ZIP:
        raise InputError(f"{path} is not a checkpoint: those that torch.save writes are zip files")
    # The official code stores its arguments as defaultdict(str), which `weights_only` refuses:
    # they become a plain dictionary, and nothing but tensors and plain values gets through.
    allowed: list[Any] = [(_plain_dictionary, "collections.defaultdict"), (str, "builtins.str")]
    try:
        with torch.serialization.safe_globals(allowed):
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # Altered bytes make the unpickler stumble in any way: struct.error, KeyError, ...
        raise InputError(
            f"{path} is damaged, or holds more than tensors and plain values, which could run "
            "code and is not loaded"
        ) from error
    if not isinstance(checkpoint, dict):
        raise InputError(f"{path} is not a DiffusionAD checkpoint: it holds no dictionary")
    return checkpoint


def _plain_dictionary(_factory: type) -> dict[str, Any]:
    return {}


def _check_assumptions(arguments: dict[str, Any], path: Path) -> None:
    for name, expected in ASSUMED.items():
        found = arguments.get(name, expected)
        if found != expected:
            raise InputError(f"{path} was made with {name} = {found}; only {expected} can run")


def _input_size(arguments: dict[str, Any], path: Path) -> tuple[int, int]:
    match arguments.get("img_size", INPUT_SIZE):
        case (int(height), int(width)) if min(height, width) > 0 == height % 32 == width % 32:
            return height, width
        case other:
            raise InputError(
                f"{path} was trained with img_size = {other}: height and width must be multiples "
                "of 32"
            )


def _state(checkpoint: dict[str, Any], key: str, path: Path) -> State:
    state = checkpoint.get(key)
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise InputError(f"{path} is not a DiffusionAD checkpoint: it has no weights under {key}")
    for name, tensor in state.items():
        if not torch.isfinite(tensor).all():
            raise InputError(f"{path}: {key}: {name} is not finite: the training diverged")
    return dict(state)


def _unet_arguments(state: State, path: Path) -> dict[str, Any]:
    """Read the widths and the attention off the tensors: UNet has three stages a level."""
    base = _width(state, "down.0.0.weight", path)
    levels = len({name.split(".")[1] for name in state if name.startswith("down.")}) // 3
    firsts = [1 + 3 * level for level in range(levels)]
    widths = [_width(state, f"down.{first}.0.out_layers.3.weight", path) for first in firsts]
    if any(width % base for width in widths):
        raise InputError(f"{path}: the U-Net's widths {widths} are not multiples of {base}")
    return {
        "base": base,
        "multipliers": [width // base for width in widths],
        "attention_levels": [
            level for level, first in enumerate(firsts) if f"down.{first}.1.to_qkv.weight" in state
        ],
    }


def _width(state: State, name: str, path: Path) -> int:
    tensor = state.get(name)
    if tensor is None or tensor.ndim != 4:
        raise InputError(f"{path} holds other networks than the official ones: no tensor {name}")
    return tensor.shape[0]


def _check_tensors(network: nn.Module, state: State, what: str) -> None:
    """`network` is on the meta device: its tensors have shapes alone."""
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in state.items()}
    if missing := expected.keys() - found.keys():
        raise InputError(f"{what} lacks {len(missing)} tensors, among them {min(missing)}")
    if unknown := found.keys() - expected.keys():
        raise InputError(f"{what} has {len(unknown)} unknown tensors, among them {min(unknown)}")
    for name, shape in expected.items():
        if found[name] != shape:
            raise InputError(f"{what}: {name} has shape {found[name]}, expected {shape}")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
