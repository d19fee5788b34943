"""`normline benchmark`, `normline compare` and `normline memory`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from training.commands import SEED, parse_budget, parse_size
from training.errors import InputError
from training.presets import EDGE, NAMES, PRESETS, preset, resolve
from training.say import say

PATH = click.Path(path_type=Path)
COMPARED = ("denoising", "scales", "w", "t", "synthesis", "contrast", "anomalies")
SMALL_STEPS = 300


def _training_options(command: Callable[..., Any]) -> Callable[..., Any]:
    options = (
        click.option("--preset", default=EDGE, show_default=True, type=click.Choice(NAMES)),
        click.option("--time-budget", help="Train each model this long: 45m, 90s, 2h."),
        click.option("--steps", type=click.IntRange(min=1), help="Train each this many steps."),
        click.option("--size", default=256, show_default=True, help="Side of the model's frame."),
        click.option("--seed", default=0, show_default=True, type=SEED),
        click.option(
            "--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command(epilog="Example: normline benchmark mvtec/ --out results/mvtec --time-budget 1h")
@click.argument("root", type=PATH)
@click.option("--out", type=PATH, required=True, help="Folder of the runs and the table.")
@click.option("--category", multiple=True, help="Only these.  [default: all]")
@_training_options
def benchmark(
    root: Path,
    out: Path,
    category: tuple[str, ...],
    preset: str,
    time_budget: str | None,
    steps: int | None,
    size: int,
    seed: int,
    device: str,
) -> None:
    """Train and judge one model for each category of a public benchmark.

    ROOT is MVTec-AD, VisA (split by its split_csv/1cls.csv), DAGM 2007 or MPDD as published, or
    one folder in MVTec-AD layout. Started again, it goes on where it stopped. The time budget is
    for each category.
    """
    from training.benchmark.benchmark import TABLE, run_benchmark
    from training.benchmark.layouts import find_benchmark

    order = _order(out, preset, time_budget, steps, size, seed, device)
    found = find_benchmark(root)
    say(f"{root}: {found.name}, {len(found.categories)} categories")
    click.echo(run_benchmark(found, list(category), order, say), nl=False)
    say(f"table in {out / TABLE}")


@click.command(epilog="Example: normline compare scales data/tile --out results/tile")
@click.argument("what", type=click.Choice(COMPARED))
@click.argument("data", type=PATH)
@click.option("--out", type=PATH, required=True, help="Folder of the runs and the tables.")
@click.option(
    "--full",
    is_flag=True,
    help="Train every row by itself, at the full time budget, and denoise in every single step.",
)
@click.option("--apart", multiple=True, metavar="KIND", help="Kind of defect that is left out.")
@_training_options
def compare(
    what: str,
    data: Path,
    out: Path,
    full: bool,
    apart: tuple[str, ...],
    preset: str,
    time_budget: str | None,
    steps: int | None,
    size: int,
    seed: int,
    device: str,
) -> None:
    """Repeat one of the paper's comparisons, or ours, on a folder in MVTec-AD layout.

    One step against iterative denoising, one noise scale against two, the guidance weight w, the
    scales t, synthesis on and off, what stands out shown and not (contrast, of the edge presets),
    what is pasted (anomalies); each also against no diffusion at all. Without --full or a budget,
    models are trained for 300 steps: enough to see the command work, not to rank what it compares.
    Started again, it goes on where it stopped.
    """
    from training.benchmark.compare import run_comparison
    from training.dataset import read_dataset

    if not full and time_budget is None and steps is None:
        steps = SMALL_STEPS
    order = _order(out, preset, time_budget, steps, size, seed, device)
    found = read_dataset(data).without(apart)
    click.echo(run_comparison(what, full, found, order, say), nl=False)
    say(f"table in {out / what}.md")


@click.command(epilog="Example: normline memory --preset paper --batch-size 16")
@click.option(
    "--preset", "name", default="paper", show_default=True, type=click.Choice(list(PRESETS))
)
@click.option("--batch-size", type=click.IntRange(min=1), help="[default: the preset's]")
@click.option("--size", default=256, show_default=True, help="Side of the model's frame.")
def memory(name: str, batch_size: int | None, size: int) -> None:
    """Calculate the GPU memory of a training, without a GPU.

    The step is run on tensors without contents, and what it would allocate is counted.
    """
    from training.memory import training_memory

    recipe, batch = preset(name), batch_size or preset(name).batch_size
    click.echo(f"preset {name}, batch {batch}, {size} x {size}")
    for bfloat16 in (False, True):
        for checkpointing in (False, True) if recipe.family == "official" else (False,):
            need = training_memory(
                recipe, batch, parse_size(size), bfloat16=bfloat16, checkpointing=checkpointing
            )
            click.echo(
                f"{'bfloat16' if bfloat16 else 'float32':9}"
                f"{'checkpointing' if checkpointing else '':14}"
                f"weights {need.weights / 2**30:5.1f}  step {need.step / 2**30:5.1f}  "
                f"with margin {need.total / 2**30:5.1f} GiB"
            )


def _order(
    out: Path,
    preset: str,
    time_budget: str | None,
    steps: int | None,
    size: int,
    seed: int,
    device: str,
) -> Any:
    # Imported here: torch takes seconds, and a mistyped option should not.
    from torch.distributed import is_torchelastic_launched

    from training.device import is_gpu
    from training.order import Order
    from training.wish import ViewWish

    if is_torchelastic_launched() and int(os.environ["WORLD_SIZE"]) > 1:
        raise InputError(
            f"torchrun has started {os.environ['WORLD_SIZE']} processes, benchmark and compare are "
            "for one: start them without torchrun"
        )
    budget = parse_budget(steps, time_budget)
    return Order(
        out=out,
        preset=resolve(preset, budget, parse_size(size), on_gpu=is_gpu(device)),
        budget=budget,
        input_size=parse_size(size),
        view=ViewWish(),
        seed=seed,
        device=device,
        product=out.resolve().name,
        textures=None,
        resume=True,
    )
