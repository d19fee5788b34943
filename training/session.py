"""One training from a folder of images to a run: split, train, save."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from training.batches import BatchMaker, check_shares
from training.claim import RECIPE, claim
from training.dataset import data_digest
from training.device import choose_device, has_fast_bfloat16, spare_cores
from training.distributed import Group, share_statistics, training_group
from training.errors import InputError
from training.files import remove_half_written, replace_bytes, replace_text
from training.material import Material, gather
from training.model import FixedNoise
from training.order import AS_PRESET, Order, Variant
from training.pictures import LOSSES, SAMPLES, draw_losses, draw_samples
from training.pixels import PIXELS
from training.presets import Preset, preset
from training.provenance import code_version, machine
from training.run import (
    CALIBRATION,
    FRAMES,
    IGNORE_MASK,
    METRICS,
    RunSettings,
    save_frames,
    save_run,
)
from training.selection import SelectionScore, SelectionSet
from training.symmetry import find_flips
from training.synthesis import Synthesizer
from training.trainer import Trainer

KEPT_FRAMES = 128


def train_run(
    order: Order, good: Sequence[Path], say: Callable[[str], None], variant: Variant = AS_PRESET
) -> None:
    """Train on images of good parts and leave a complete run in `order.out`.

    `say` gets one line per decision. Started by `torchrun`, every process calls this with the
    same order, and the first of them writes the run.
    """
    with training_group() as group, ExitStack() as held:
        _train(order, good, say if group.leads else _say_nothing, variant, group, held)


def _train(
    order: Order,
    good: Sequence[Path],
    say: Callable[[str], None],
    variant: Variant,
    group: Group,
    held: ExitStack,
) -> None:
    recipe, device = variant.recipe(preset(order.preset)), choose_device(order.device, group)
    batch_size = order.batch_size or recipe.images_a_step(device.type == "cuda")
    check_shares(batch_size, recipe.good_every, group)
    twice = _must_checkpoint(recipe, batch_size // group.size, order.input_size, device)
    # Read before the folder is taken: a refused image can be replaced and the order repeated.
    material = gather(order, good, say)
    if material.parts.is_grey:
        recipe = recipe.for_grey()
    settings = _settings(order, recipe, batch_size, material, data_digest(good))
    if not group.alike(int(settings.data_digest[:12], 16)):
        raise InputError("the machines train on different images: give all the same")
    if group.leads:
        held.enter_context(claim(order, settings))
        if order.resume:
            remove_half_written(order.out)
        _prepare(order, material.calibration)

    batches = _batches(order, variant, material, recipe, batch_size, device, group, say)
    torch.manual_seed(order.seed)
    model = variant.build(recipe).to(device)
    share_statistics(model, group)
    if twice:
        model.checkpoint_activations(True)
        say("activations are computed twice: they do not fit into the device's memory")
    parameters = sum(tensor.numel() for tensor in model.parameters())
    say(f"preset {order.preset}: {parameters:,} parameters, on {device} in {_precision(device)}")
    trainer = Trainer(
        model,
        recipe,
        batches,
        _selection(order, variant, material),
        order.budget,
        order.out,
        noise_seed=settings.noise_seed,
        group=group,
    )
    if group.size > 1:
        say(f"{group.size} processes share each batch of {batch_size}")
    chosen = _run_to_the_end(trainer, order, say)
    if chosen is not None:
        record = settings.training | _record(material, trainer, chosen, device)
        _leave_run(order.out, settings.model_copy(update={"training": record}), trainer)
        say(
            f"{trainer.step} steps in {trainer.elapsed_s / 60:.1f} minutes, "
            f"{trainer.waiting:.1%} of them spent waiting for images; on held-out normals with "
            f"synthetic anomalies: image AUROC {chosen.image_auroc:.4f}, "
            f"pixel AP {chosen.pixel_ap:.4f}"
        )
        say(f"pictures: {order.out / LOSSES}, {order.out / SAMPLES}")


def _settings(
    order: Order, recipe: Preset, batch_size: int, material: Material, digest: str
) -> RunSettings:
    """What a run is known by from its first step on; `digest` is of the images of good parts."""
    return RunSettings(
        product=order.product,
        preset=order.preset,
        family=recipe.family,
        unet=recipe.unet,
        segmentation=recipe.segmentation,
        prediction=recipe.prediction,
        colours=recipe.colours,
        input_size=order.input_size,
        view=material.view.settings,
        pixels=PIXELS,
        code_version=code_version(),
        data_digest=digest,
        training={
            "seed": order.seed,
            **asdict(order.budget),
            "batch_size": batch_size,
            **{name: getattr(recipe, name) for name in RECIPE},
            "textures": material.textures_digest,
        },
    )


def _prepare(order: Order, calibration: Sequence[Path]) -> None:
    """Leave in the folder of the run what training never looks at."""
    lines = "".join(f"{path.resolve()}\n" for path in calibration)
    replace_text(order.out / CALIBRATION, lines)
    if order.view.ignore_mask is not None:
        replace_bytes(order.out / IGNORE_MASK, order.view.ignore_mask.read_bytes())


def _batches(
    order: Order,
    variant: Variant,
    material: Material,
    recipe: Preset,
    size: int,
    device: torch.device,
    group: Group,
    say: Callable[[str], None],
) -> BatchMaker:
    """What a step trains on."""
    parts = material.parts
    synthesizer = variant.synthesizer(parts, material.textures, np.random.default_rng(order.seed))
    scene = "an object on a plain background" if parts.is_object else "a texture"
    say(f"the images show {scene}, {'in grey' if synthesizer.grey else 'in colour'}")
    flips = find_flips(parts.tiles, len(material.view.places))
    say(f"a good part stays good under: {', '.join(flips) or 'no flip'}")
    workers = spare_cores(device, group)
    return BatchMaker(
        parts.tiles, synthesizer, flips, size, order.seed, recipe.good_every, group, workers
    )


def _selection(order: Order, variant: Variant, material: Material) -> SelectionSet:
    """What the checkpoint is chosen by, drawn apart from what is trained on."""
    random = np.random.default_rng(order.seed + 1)
    pasting = Synthesizer(material.held_out, material.textures, random)
    return variant.selection(material.held_out.tiles, pasting, order.seed)


def _precision(device: torch.device) -> str:
    return "bfloat16" if has_fast_bfloat16(device) else "float32"


def _record(
    material: Material, trainer: Trainer, chosen: SelectionScore, device: torch.device
) -> dict[str, Any]:
    """How the training went, and on what."""
    return {
        "steps_done": trainer.step,
        "elapsed_s": round(trainer.elapsed_s, 1),
        "waiting_share": round(trainer.waiting, 4),
        "processes": trainer.group.size,
        "images": material.images,
        "normals": material.counts,
        "tiles": material.tiles,
        "selection": {"step": trainer.best_step, **asdict(chosen)},
        "device": str(device),
        "precision": _precision(device),
        "machine": machine(device),
    }


def _run_to_the_end(
    trainer: Trainer, order: Order, say: Callable[[str], None]
) -> SelectionScore | None:
    """Train, from where the run was left; the chosen checkpoint's score, None unless leading."""
    if order.resume and trainer.resume():
        say(f"going on from step {trainer.step}")
    if not trainer.group.alike(trainer.step):
        raise InputError(
            "--out must be one folder for all machines: they go on from different steps"
        )
    try:
        return trainer.train()
    except torch.OutOfMemoryError:
        raise InputError(
            f"the memory of {trainer.device} does not hold a batch of {trainer.batches.size} "
            "images: give a smaller --batch-size and another --out"
        ) from None
    except RuntimeError as error:
        # So begins what is said of a worker that was killed, and of a batch that does not come.
        if not str(error).startswith("DataLoader "):
            raise
        raise InputError(
            f"the processes that make the images of a step have failed ({str(error).strip()}): "
            "this machine's memory may be full; go on with --resume"
        ) from None


def _must_checkpoint(
    recipe: Preset, batch_size: int, input_size: tuple[int, int], device: torch.device
) -> bool:
    """Only the paper's networks are large enough to ask, and only a GPU's memory is that scarce."""
    if device.type != "cuda" or recipe.family != "official":
        return False
    # Imported here: tensors without contents take seconds to load.
    from training.memory import must_checkpoint

    free, _ = torch.cuda.mem_get_info(device)
    mixed = has_fast_bfloat16(device)
    return must_checkpoint(recipe, batch_size, input_size, bfloat16=mixed, free=free)


def _leave_run(folder: Path, settings: RunSettings, trainer: Trainer) -> None:
    """Write the chosen weights and what goes with them."""
    held_out = trainer.selection
    trainer.model.load_state_dict(trainer.best)
    inspector = FixedNoise(trainer.model.eval(), settings.input_size, settings.noise_seed)
    draw_losses(folder / METRICS, folder / LOSSES)
    draw_samples(inspector.to(trainer.device), held_out, folder / SAMPLES)
    save_frames(folder / FRAMES, *_kept(held_out))
    save_run(folder, settings, trainer.best)  # last: with its weights, a run is complete


def _kept(selection: SelectionSet) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Frames that travel with the run, for quantisation and golden values: half of them good."""
    half = len(selection.frames) // 2
    count = min(half, KEPT_FRAMES // 2)
    chosen = np.r_[0:count, half : half + count]
    return selection.frames[chosen], selection.labels[chosen].astype(bool)


def _say_nothing(line: str) -> None:
    """What processes other than the leader say."""
