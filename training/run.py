"""A run: the folder that training leaves and export reads.

settings.json          what was trained, from what, how
weights.safetensors    the chosen weights (exponential moving average)
calibration.txt        normals set aside for the threshold, never trained or selected on
frames.npz             some held-out frames, for quantisation and golden values
ignore_mask.png        the pixels that are left out, where the product has such
metrics.jsonl          losses and selection scores over time
losses.png             the same, drawn
samples.png            held-out images on their way through the model
resume.safetensors     the trainer's last state
"""

from __future__ import annotations

import re
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from training.errors import InputError
from training.files import check_readable, replace_text, replacing, save_tensors
from training.images import read_mask
from training.model import DiffusionAD, FixedNoise
from training.presets import Prediction
from training.view import View, ViewSettings

SETTINGS, WEIGHTS = "settings.json", "weights.safetensors"
CALIBRATION, FRAMES, METRICS = "calibration.txt", "frames.npz", "metrics.jsonl"
IGNORE_MASK = "ignore_mask.png"


# What a bundle's product may be called: it ends up in topics, logs and on terminals.
PRODUCT = re.compile(r"[^\x00-\x1f\x7f-\x9f]{1,128}")


def check_product(name: str) -> str:
    """The name, if a bundle of that product can be written; raises InputError if not."""
    if not PRODUCT.fullmatch(name):
        raise InputError(
            f"{name[:128]!a} cannot name a product: give --product of 1 to 128 characters, none of "
            "them a control character"
        )
    return name


class RunSettings(BaseModel):
    """Everything that a run's weights need to be understood, and where they came from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    product: str
    preset: str
    family: Literal["official", "edge"]
    unet: dict[str, Any]
    segmentation: dict[str, Any]
    prediction: Prediction
    colours: Literal[1, 3] = 3
    input_size: tuple[int, int]
    view: ViewSettings = ViewSettings()
    # The version of `training.pixels`; runs of before it was noted are of the first.
    pixels: int = 1
    noise_seed: int = 0
    code_version: str
    data_digest: str
    training: dict[str, Any] = {}


@dataclass(frozen=True)
class Run:
    """A run read back: `view` cuts images into frames, `inspector` maps frames to scores."""

    folder: Path
    settings: RunSettings
    view: View
    inspector: FixedNoise


def save_run(folder: Path, settings: RunSettings, weights: dict[str, Tensor]) -> None:
    """Write settings and weights; either the whole run is there afterwards, or the one before."""
    folder.mkdir(parents=True, exist_ok=True)
    save_tensors(folder / WEIGHTS, {name: each.contiguous() for name, each in weights.items()})
    write_settings(folder, settings)


def write_settings(folder: Path, settings: RunSettings) -> None:
    """Write what a run is; without weights beside it, it is one that has not finished."""
    replace_text(folder / SETTINGS, settings.model_dump_json(indent=2) + "\n")


def load_run(folder: Path) -> Run:
    """Read a run; InputError where it is none, or its weights are not those of its settings."""
    settings = read_settings(folder)
    model = DiffusionAD.of(settings)
    load_weights(model, folder, settings)
    inspector = FixedNoise(model, settings.input_size, settings.noise_seed).eval()
    return Run(folder, settings, load_view(folder, settings), inspector)


def load_weights(model: DiffusionAD, folder: Path, settings: RunSettings) -> None:
    """Give a model the weights of the run in `folder`; InputError where it has none that fit."""
    try:
        check_readable(folder / WEIGHTS)
        model.load_state_dict(load_file(folder / WEIGHTS))
    except FileNotFoundError:
        raise InputError(f"{folder} has no {WEIGHTS}: training has not finished there") from None
    except SafetensorError as error:
        first = str(error).strip().splitlines()[0]
        raise InputError(f"{folder / WEIGHTS} does not hold this run's weights: {first}") from None
    except RuntimeError:
        raise InputError(
            f"{folder / WEIGHTS} does not hold this run's weights but those of other networks: the "
            f"run is of revision {settings.code_version}; export it with that, or train again"
        ) from None


def load_view(folder: Path, settings: RunSettings) -> View:
    """The view of a run, with its ignore mask."""
    ignored = None
    if settings.view.ignore_mask is not None:
        assert settings.view.image_size is not None
        ignored = read_mask(folder / IGNORE_MASK, settings.view.image_size)
    return View(settings.input_size, settings.view, ignored)


def read_settings(folder: Path) -> RunSettings:
    """The settings of a run."""
    path = folder / SETTINGS
    try:
        return RunSettings.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            f"{folder} is not a run: it has no {SETTINGS}; `normline train` makes one"
        ) from None
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"]) or "file"
        raise InputError(f"{path}: {where}: {problem['msg']}") from None


def save_frames(path: Path, frames: NDArray[np.uint8], anomalous: NDArray[np.bool_]) -> None:
    """Keep frames uint8 [N, H, W, 3] BGR and which of them show a synthetic anomaly, bool [N]."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, frames=frames, anomalous=anomalous)


def load_frames(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Read what `save_frames` wrote."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return arrays["frames"], arrays["anomalous"]
    except FileNotFoundError:
        raise InputError(
            f"{path.parent} keeps no frames: give `--frames FOLDER` with images of good parts"
        ) from None
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(
            f"{path} cannot be read ({error}): copy it again, or give `--frames FOLDER` with "
            "images of good parts"
        ) from None
