"""The command `normline bench`."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence, Set
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.bundle import Bundle, open_bundle
from agent.engine import RUNTIMES, installed_runtimes
from agent.files import check_apart, check_writable, write_atomically
from agent.view import View

if TYPE_CHECKING:
    from deploy.bench.cameras import Throughput
    from deploy.bench.rounds import Contestant

FILE = click.Path(path_type=Path)
CAMERAS = (1, 2, 4)
CAMERA_SECONDS = 2.0


@click.command()
@click.argument("bundles", nargs=-1, type=FILE)
@click.option(
    "--family",
    is_flag=True,
    help="Every edge preset and resolution, random weights. (The preset `paper` is the reference "
    "in PyTorch.)",
)
@click.option(
    "--device",
    default="CPU",
    show_default=True,
    help="Of the bundles, as `normline doctor` names it: GPU, NPU, CUDA, TensorRT.",
)
@click.option("--rounds", default=12, show_default=True, type=click.IntRange(1))
@click.option("--data", type=FILE, help="Labelled images (MVTec-AD layout): accuracy beside time.")
@click.option("--apart", multiple=True, metavar="KIND", help="Kind left out of the accuracy.")
@click.option("--references/--no-references", default=True, help="The graphs to compare with.")
@click.option("--official/--no-official", default=True, help="DiffusionAD at its official size.")
@click.option("--json", "json_file", type=FILE, help="Write the figures here too.")
@click.option("--picture", type=FILE, help="Draw latency against accuracy (.png, .svg, .pdf).")
def bench(
    bundles: tuple[Path, ...],
    family: bool,
    device: str,
    rounds: int,
    data: Path | None,
    apart: tuple[str, ...],
    references: bool,
    official: bool,
    json_file: Path | None,
    picture: Path | None,
) -> None:
    """Time BUNDLES on every runtime and precision here, against the machine's own limit.

    The references run in the same rounds, on the CPU: a chain of 3x3 convolutions in INT8 (the
    machine's peak), EfficientAD-S in INT8, and DiffusionAD at its official size in PyTorch; both
    models have random weights, for their time only. Engines of the first bundle then serve 1, 2
    and 4 cameras.

    \b
    Example:
      normline bench tile.nlb --data data/tile --picture tile.png
      normline bench --family --no-official
    """
    from tqdm import tqdm

    from agent.engine.cpu import cpu_name, physical_cores
    from deploy.bench import measure
    from deploy.bench.accuracy import accuracies
    from deploy.bench.family import family_contestants, members
    from deploy.bench.picture import FORMATS, draw
    from deploy.bench.rounds import run_rounds
    from deploy.evaluate import has_device

    if not bundles and not family:
        raise click.UsageError("give a bundle, or --family")
    if family and device != "CPU":
        raise click.UsageError("--family is timed on the CPU: leave --device out")
    if data and not bundles:
        raise click.UsageError("--data needs a bundle: random weights have no accuracy")
    outputs = [path for path in (json_file, picture) if path]
    for path in outputs:
        check_writable(path)
    check_apart(outputs, bundles)
    if picture and not data:
        raise click.UsageError("--picture needs --data: without accuracy there is nothing to draw")
    if picture and picture.suffix.lower() not in FORMATS:
        raise click.UsageError(f"--picture {picture}: the name must end in {' or '.join(FORMATS)}")
    opened = {name: open_bundle(path) for name, path in _named(bundles).items()}
    here = installed_runtimes()
    having = [name for name in here if has_device(name, device)] or here
    with ExitStack() as stack:
        contestants = [
            contestant
            for name, bundle in opened.items()
            for contestant in measure.bundle_contestants(name, bundle, having, device, stack, _say)
        ]
        engines = [(each.name, each.runtime, each.precision) for each in contestants]
        if family:
            contestants += family_contestants(_say)
        accuracy = accuracies(opened, engines, device, data, set(apart), _say) if data else {}
        if references:
            contestants += _references(opened, here, device, official)
        run_rounds(contestants, rounds, lambda turns: tqdm(turns, unit="round"))
    cores = physical_cores()
    cameras = _cameras(opened, engines, device, cores)
    found = measure.Bench(cpu_name(), cores, measure.rows(contestants, accuracy), cameras)
    click.echo(measure.table(found))
    if family:
        click.echo("\n" + "\n".join(members()))
    for name, bundle in opened.items():
        tiles = len(View.of(bundle).places)
        if tiles > 1:
            click.echo(f"{name}: a part is {tiles} tiles, each a frame of the times above")
    if json_file:
        write_atomically(json_file, (json.dumps(found.as_json(), indent=1) + "\n").encode())
    if picture:
        draw(found.rows, picture)


def _named(paths: Sequence[Path]) -> dict[str, Path]:
    """Bundles by name: the file's, with as many of its folders as tell it from the others."""
    given = {Path(os.path.abspath(path)): path for path in paths}
    return {_name(path, given.keys() - {path}): given[path] for path in given}


def _name(path: Path, others: Set[Path]) -> str:
    for count in range(1, len(path.parts)):
        if all(_tail(path, count) != _tail(other, count) for other in others):
            return _tail(path, count)
    return str(path)


def _tail(path: Path, count: int) -> str:
    return "/".join((path.parent / path.stem).parts[-count:])


def _references(
    opened: dict[str, Bundle], here: Sequence[str], device: str, official: bool
) -> list[Contestant]:
    """At the size of the first bundle's frames; the presets' own without one."""
    from deploy.bench.measure import reference_contestants

    if "openvino" not in here:
        _say("no OpenVINO here: the reference graphs are left out")
        return []
    if device != "CPU":
        _say("the reference graphs are a CPU's: left out")
        return []
    size = next((bundle.manifest.input_size for bundle in opened.values()), (256, 256))
    return reference_contestants(size, official, _say)


def _cameras(
    opened: dict[str, Bundle], engines: Sequence[tuple[str, str, str]], device: str, cores: int
) -> list[Throughput]:
    """On one engine of the first bundle, with one stream and with one for each core."""
    from deploy.bench.cameras import measure_cameras

    return [
        measure_cameras(first, *_fastest(name, first, engines), device, count, each, CAMERA_SECONDS)
        for name, first in list(opened.items())[:1]
        for count in CAMERAS
        for each in sorted({1, cores})
    ]


def _fastest(name: str, bundle: Bundle, engines: Sequence[tuple[str, str, str]]) -> tuple[str, str]:
    """The (runtime, precision) that most stations will run: of the first runtime, the last."""
    own = [engine[1:] for engine in engines if engine[0] == name]
    return max(own, key=lambda each: (-RUNTIMES.index(each[0]), bundle.precisions.index(each[1])))


def _say(line: str) -> None:
    click.echo(line, err=True)
