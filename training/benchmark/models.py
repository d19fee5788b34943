"""One model of a table: trained, or taken up where it was left, or already there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from training.claim import same_recipe
from training.dataset import data_digest
from training.device import choose_device, is_gpu
from training.errors import InputError
from training.model import DiffusionAD
from training.order import AS_PRESET, Order, Variant
from training.pixels import PIXELS
from training.presets import Preset, preset
from training.run import WEIGHTS, load_weights, read_settings
from training.session import train_run


def trained_model(
    order: Order, good: Sequence[Path], say: Callable[[str], None], variant: Variant = AS_PRESET
) -> DiffusionAD:
    """The model of that order in evaluation mode, on its device; trains only what is missing.

    Raises InputError where `order.out` holds the run of another order, or of other images.
    """
    recipe = variant.recipe(preset(order.preset))
    if is_trained(order, good, recipe):
        say(f"{order.out}: trained before")
    else:
        train_run(order, good, say, variant)
    settings = read_settings(order.out)
    if settings.colours == 1:
        recipe = recipe.for_grey()
    model = variant.build(recipe)
    load_weights(model, order.out, settings)
    return model.to(choose_device(order.device)).eval()


def is_trained(order: Order, good: Sequence[Path], recipe: Preset) -> bool:
    """Whether the model of that order is there.

    Raises InputError where `order.out` holds that of another order, or of other images.
    """
    if not (order.out / WEIGHTS).is_file():
        return False
    settings = read_settings(order.out)
    # Another recipe may have had another batch size.
    if not same_recipe(settings, asdict(recipe)):
        raise InputError(f"{order.out} was trained by another recipe: give another --out")
    names = ("seed", "steps", "seconds", "batch_size")
    before = {name: settings.training.get(name) for name in names}
    before |= {"preset": settings.preset, "input_size": settings.input_size}
    now = {
        "seed": order.seed,
        "steps": order.budget.steps,
        "seconds": order.budget.seconds,
        "batch_size": order.batch_size or recipe.images_a_step(is_gpu(order.device)),
        "preset": order.preset,
        "input_size": order.input_size,
    }
    for name, value in now.items():
        if before[name] != value:
            raise InputError(
                f"{order.out} was trained with {name} {before[name]}, now it is {value}: give "
                "another --out"
            )
    if settings.pixels != PIXELS:
        raise InputError(
            f"{order.out} was trained by a normline that shrinks images otherwise: give another "
            "--out"
        )
    if settings.data_digest != data_digest(good):
        raise InputError(f"{order.out} was trained on other images: give another --out")
    return True
