"""One training from a folder of images to a run: split, train, save."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from training.batches import BatchMaker
from training.dataset import data_digest, load_images, read_dataset, split_normals
from training.device import choose_device, has_fast_bfloat16
from training.errors import InputError
from training.framing import ViewWish, choose_view
from training.images import list_images
from training.model import DiffusionAD
from training.presets import preset
from training.run import (
    CALIBRATION,
    FRAMES,
    IGNORE_MASK,
    RunSettings,
    read_settings,
    replace_text,
    save_frames,
    save_run,
    write_settings,
)
from training.selection import SelectionSet
from training.symmetry import find_flips
from training.synthesis import Synthesizer
from training.synthesis.parts import cut_parts
from training.trainer import Budget, Trainer
from training.view import View

# Normals that training never sees: some to choose the checkpoint by, more for the threshold.
SELECTION_SHARE, CALIBRATION_SHARE = 0.1, 0.15
MAX_SELECTION = 64
KEPT_FRAMES = 32


@dataclass(frozen=True)
class Order:
    """What a user asks of a training."""

    data: Path
    out: Path
    preset: str
    budget: Budget
    input_size: tuple[int, int]
    view: ViewWish
    seed: int
    device: str
    product: str
    textures: Path | None
    resume: bool


def train_run(order: Order, say: Callable[[str], None]) -> None:
    """Train and leave a complete run in `order.out`; `say` gets one line per decision."""
    recipe, device = preset(order.preset), choose_device(order.device)
    dataset = read_dataset(order.data)
    rest, calibration = split_normals(dataset.train_good, order.seed, CALIBRATION_SHARE)
    share = min(SELECTION_SHARE, MAX_SELECTION / len(rest))
    train, selection = split_normals(rest, order.seed, share)
    say(
        f"{len(dataset.train_good)} good images: {len(train)} to train on, {len(selection)} to "
        f"choose the checkpoint with, {len(calibration)} set aside for the threshold"
    )
    view = choose_view(order.view, dataset.train_good, order.input_size, say)
    settings = RunSettings(
        product=order.product,
        preset=order.preset,
        family=recipe.family,
        unet=recipe.unet,
        segmentation=recipe.segmentation,
        prediction=recipe.prediction,
        input_size=order.input_size,
        view=view.settings,
        code_version=version("normline"),
        data_digest=data_digest(dataset.train_good),
        training={"seed": order.seed, **asdict(order.budget)},
    )
    _claim(order, settings)
    replace_text(order.out / CALIBRATION, "".join(f"{path.resolve()}\n" for path in calibration))
    if order.view.ignore_mask is not None:
        shutil.copyfile(order.view.ignore_mask, order.out / IGNORE_MASK)

    parts = cut_parts(load_images(train, view), view)
    held_out = cut_parts(load_images(selection, view), view).sample(MAX_SELECTION, order.seed)
    textures = None
    if order.textures is not None:
        paths = list_images(order.textures)
        if not paths:
            raise InputError(f"--textures {order.textures} is no folder, or holds no images")
        textures = load_images(paths, View(order.input_size))
    synthesizer = Synthesizer(parts, textures, np.random.default_rng(order.seed))
    scene = "an object on a plain background" if parts.is_object else "a texture"
    say(f"the images show {scene}, {'in grey' if synthesizer.grey else 'in colour'}")

    flips = find_flips(parts.tiles)
    say(f"a good part stays good under: {', '.join(flips) or 'no flip'}")

    torch.manual_seed(order.seed)
    model = DiffusionAD(recipe.family, recipe.unet, recipe.segmentation, recipe.prediction).to(
        device
    )
    precision = "bfloat16" if has_fast_bfloat16(device) else "float32"
    parameters = sum(tensor.numel() for tensor in model.parameters())
    say(f"preset {order.preset}: {parameters:,} parameters, on {device} in {precision}")
    held_out_set = SelectionSet(
        held_out.tiles,
        Synthesizer(held_out, textures, np.random.default_rng(order.seed + 1)),
        order.seed,
    )
    trainer = Trainer(
        model,
        recipe,
        BatchMaker(parts.tiles, synthesizer, flips, recipe.batch_size, order.seed),
        held_out_set,
        order.budget,
        order.out,
        noise_seed=settings.noise_seed,
    )
    if order.resume and trainer.resume():
        say(f"going on from step {trainer.step}")
    chosen = trainer.train()
    say(
        f"{trainer.step} steps in {trainer.elapsed_s / 60:.1f} minutes; on held-out normals with "
        f"synthetic anomalies: image AUROC {chosen.image_auroc:.4f}, pixel AP {chosen.pixel_ap:.4f}"
    )
    record: dict[str, Any] = {
        **settings.training,
        "steps_done": trainer.step,
        "elapsed_s": round(trainer.elapsed_s, 1),
        "normals": {
            "train": len(train),
            "selection": len(selection),
            "calibration": len(calibration),
        },
        "tiles": {"train": len(parts), "selection": len(held_out)},
        "selection": asdict(chosen),
        "device": str(device),
        "precision": precision,
        "machine": platform.machine(),
        "torch": torch.__version__,
    }
    unet, segmentation = (
        {k.split(".", 1)[1]: v for k, v in trainer.best.items() if k.startswith(f"{part}.")}
        for part in ("unet", "segmentation")
    )
    save_frames(order.out / FRAMES, *_kept(held_out_set))
    save_run(order.out, settings.model_copy(update={"training": record}), unet, segmentation)


def _claim(order: Order, settings: RunSettings) -> None:
    """Take the folder for this run, or find in it the run to go on with."""
    if not (order.out / "settings.json").exists():
        order.out.mkdir(parents=True, exist_ok=True)
        write_settings(order.out, settings)
        return
    if not order.resume:
        raise InputError(
            f"{order.out} already holds a run: add --resume to go on, or give another --out"
        )
    before = read_settings(order.out)
    for name in ("preset", "input_size", "view", "data_digest"):
        if getattr(before, name) != getattr(settings, name):
            raise InputError(
                f"{order.out} cannot be resumed: its {name} is {getattr(before, name)}, now it "
                f"is {getattr(settings, name)}: give another --out"
            )
    if before.training["seed"] != order.seed:
        raise InputError(
            f"{order.out} cannot be resumed: it was begun with --seed {before.training['seed']}"
        )


def _kept(selection: SelectionSet) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Frames that travel with the run, for quantisation and golden values: half of them good."""
    half = len(selection.frames) // 2
    count = min(half, KEPT_FRAMES // 2)
    chosen = np.r_[0:count, half : half + count]
    return selection.frames[chosen], selection.labels[chosen].astype(bool)
