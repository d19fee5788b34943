"""`normline train` and `normline import-checkpoint`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from training.budget import Budget
from training.duration import parse_seconds
from training.errors import InputError
from training.presets import EDGE, NAMES, resolve
from training.say import say

PATH = click.Path(path_type=Path)
DEFAULT_BUDGET = "60m"
# Times a million and the images of a batch, a seed fits into the 64 bits of torch's own.
SEED = click.IntRange(0, 2**31 - 1)


@click.command(epilog="Example: normline train parts/ --out runs/part --time-budget 60m")
@click.argument("data", type=PATH)
@click.option("--out", type=PATH, required=True, help="Folder of the run.")
@click.option(
    "--preset",
    default=EDGE,
    show_default=True,
    type=click.Choice(NAMES),
    help="edge: edge-m, or edge-s where a CPU has less than 40 minutes. edge-s runs, and trains, "
    "in less than half of the time.",
)
@click.option("--time-budget", help=f"Train this long: 45m, 90s, 2h.  [default: {DEFAULT_BUDGET}]")
@click.option("--steps", type=click.IntRange(min=1), help="Train this many steps instead.")
@click.option("--size", default=256, show_default=True, help="Side of the model's square frame.")
@click.option(
    "--batch-size",
    type=click.IntRange(min=2),
    help="Images a step, over all processes.  [default: the preset's]",
)
@click.option("--roi", metavar="X,Y,W,H", help="Region of interest in pixels.  [default: all]")
@click.option("--ignore-mask", type=PATH, help="Image, white where nothing is inspected.")
@click.option(
    "--align",
    default="auto",
    show_default=True,
    type=click.Choice(("auto", "off")),
    help="Follow a part that is small, or turned.",
)
@click.option("--tiles", default="auto", show_default=True, help="Grid ROWSxCOLUMNS, such as 1x3.")
@click.option("--overlap", default="12.5%", show_default=True, help="Of a tile with the next.")
@click.option("--window", metavar="LOW:HIGH", help="Levels of 16-bit images.  [default: by depth]")
@click.option("--seed", default=0, show_default=True, type=SEED)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1.")
@click.option("--product", help="Name of the product.  [default: the data folder's name]")
@click.option("--textures", type=PATH, help="Folder of foreign textures, beside drawn ones.")
@click.option(
    "--resume", is_flag=True, help="Go on with the run in --out, to the end of its budget."
)
def train(
    data: Path,
    out: Path,
    preset: str,
    time_budget: str | None,
    steps: int | None,
    size: int,
    batch_size: int | None,
    roi: str | None,
    ignore_mask: Path | None,
    align: str,
    tiles: str,
    overlap: str,
    window: str | None,
    seed: int,
    device: str,
    product: str | None,
    textures: Path | None,
    resume: bool,
) -> None:
    """Train on a folder of images of good parts.

    DATA is a folder of images, or a folder in MVTec-AD layout (train/good/…). With --steps, two
    trainings with one seed on one machine's CPUs agree; with a time budget, the clock has its say.

    What the model sees of an image (region of interest, ignored pixels, tiles, the levels of
    16-bit images) is chosen here and travels with the run and its bundle: calibration and the
    station see the same.
    """
    # Imported here: torch takes seconds, and a mistyped option should not.
    from training.claim import begun_budget, has_begun
    from training.dataset import read_dataset
    from training.device import is_gpu
    from training.order import Order
    from training.run import check_product
    from training.session import train_run
    from training.wish import parse_wish

    begun = begun_budget(out) if resume else None
    if resume and not has_begun(out):
        raise InputError(f"{out} holds no run to go on with: leave --resume out, or mend --out")
    budget = parse_budget(steps, time_budget, begun)
    input_size = parse_size(size)
    chosen = resolve(preset, budget, input_size, on_gpu=is_gpu(device))
    leads = os.environ.get("RANK", "0") == "0"
    if leads:
        given = "" if steps or time_budget or begun else " (no --time-budget was given)"
        say(f"training for {budget.in_words}{given}")
        if preset == EDGE and chosen == "edge-s":
            say(
                "edge is edge-s here: a CPU teaches edge-m too little in that time, at that "
                "--size (--preset edge-m overrules this)"
            )
    order = Order(
        out=out,
        preset=chosen,
        budget=budget,
        input_size=input_size,
        batch_size=batch_size,
        view=parse_wish(roi, ignore_mask, align, tiles, overlap, window),
        seed=seed,
        device=device,
        product=check_product(product or data.resolve().name),
        textures=textures,
        resume=resume,
    )
    try:
        train_run(order, read_dataset(data).train_good, say)
    except KeyboardInterrupt:
        if leads and has_begun(out):
            # Below the bar, which ends without a line's end.
            say(f"\ninterrupted; the same command with --resume goes on with {out}")
        raise
    if leads:
        say(f"run in {out}; next: normline export {out} --out {order.product}.nlb")


@click.command(
    "import-checkpoint",
    epilog="Example: normline import-checkpoint params-best.pt --out runs/bottle",
)
@click.argument("checkpoint", type=PATH)
@click.option("--out", type=PATH, required=True, help="Folder of the run.")
def import_checkpoint(checkpoint: Path, out: Path) -> None:
    """Turn an official DiffusionAD checkpoint into a run."""
    from training import official

    official.import_checkpoint(checkpoint, out)
    say(f"run in {out}; next: normline export {out} --frames FOLDER_OF_GOOD_IMAGES --out FILE.nlb")


def parse_budget(steps: int | None, time_budget: str | None, begun: Budget | None = None) -> Budget:
    """What --steps or --time-budget asks for; else what was `begun` with, else a default time."""
    if steps is not None and time_budget is not None:
        raise InputError("give --steps or --time-budget, not both")
    if steps is not None:
        return Budget(steps=steps)
    if time_budget is None and begun is not None:
        return begun
    return Budget(seconds=parse_seconds(time_budget or DEFAULT_BUDGET, "--time-budget"))


def parse_size(side: int) -> tuple[int, int]:
    """The model's frame (height, width) of that side."""
    if side % 32 or not 64 <= side <= 1024:
        raise InputError(f"--size {side}: give a multiple of 32 between 64 and 1024")
    return side, side
