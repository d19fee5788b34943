"""`normline export` and `normline evaluate`."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.bundle import Bundle, open_bundle
from agent.engine import (
    PRECISIONS,
    RUNTIMES,
    golden_scores,
    installed_runtimes,
    load_engine,
    self_test,
)
from agent.errors import InputError, NoPart
from agent.files import check_apart, check_writable, write_atomically
from agent.record import CalibrationRecord, check_record, check_repeated, read_record
from agent.view import View
from training.say import say

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deploy.evaluate import Outcome

FILE = click.Path(path_type=Path)
HERE = installed_runtimes()


@click.command(epilog="Example: normline export runs/tile --out tile.nlb")
@click.argument("run", type=FILE)
@click.option("--out", type=FILE, required=True, help="The bundle to write.")
@click.option(
    "--frames",
    type=FILE,
    help="Folder of good images to quantise and compare with, as they are and with synthetic "
    "anomalies.  [default: frames that training kept]",
)
@click.option("--finetune", metavar="TIME", help="Fine-tune the INT8 model first, such as 10m.")
def export(run: Path, out: Path, frames: Path | None, finetune: str | None) -> None:
    """Turn a run into a bundle: ONNX in fp32, fp16 and INT8.

    Every precision is compared with the trained model on every runtime here: verdicts, maps and
    scores. Nothing is written when one strays; --finetune brings INT8 closer: it learns from every
    second frame, and INT8 is then judged by the others.
    """
    check_writable(out)
    if not run.is_dir():
        raise InputError(f"{run} is not a run: give a folder that normline train has left")
    # Imported here: torch takes seconds, and a mistyped path should not.
    from deploy.frames import frames_from
    from deploy.package import build_bundle
    from training.budget import Budget
    from training.duration import parse_seconds
    from training.run import FRAMES, load_frames, load_run

    trained = load_run(run)
    grey = trained.settings.colours == 1
    kept = load_frames(run / FRAMES) if frames is None else frames_from(frames, trained.view, grey)
    results = build_bundle(
        trained,
        *kept,
        out,
        say,
        Budget(seconds=parse_seconds(finetune, "--finetune")) if finetune else None,
    )
    click.echo(
        f"{'runtime':12} {'precision':9} {'verdicts equal':>14} {'map correlation':>15} "
        f"{'score off by':>12} {'of a span of':>12}  (logits)"
    )
    for result in results:
        found = result.found
        click.echo(
            f"{result.runtime:12} {result.precision:9} {found.agreement:14.2%} "
            f"{found.correlation:15.5f} {found.score * found.span:12.4g} {found.span:12.3g}"
        )
    click.echo(f"{out}: {out.stat().st_size / 1e6:.1f} MB, sha256 {open_bundle(out).sha256}")


@click.command(epilog="Example: normline evaluate tile.nlb data/tile --precision int8")
@click.argument("bundle", type=FILE)
@click.argument("data", type=FILE)
@click.option("--precision", multiple=True, type=click.Choice(PRECISIONS), help="[default: all]")
@click.option(
    "--runtime", multiple=True, type=click.Choice(RUNTIMES), help="[default: all installed]"
)
@click.option("--device", default="CPU", show_default=True)
@click.option("--apart", multiple=True, metavar="KIND", help="Kind left out of the headline.")
@click.option(
    "--calibration",
    multiple=True,
    type=FILE,
    help="A calibration record: its engine is judged at its threshold.",
)
@click.option("--json", "json_file", type=FILE, help="Write the figures here too.")
def evaluate(
    bundle: Path,
    data: Path,
    precision: tuple[str, ...],
    runtime: tuple[str, ...],
    device: str,
    apart: tuple[str, ...],
    calibration: tuple[Path, ...],
    json_file: Path | None,
) -> None:
    """Measure a bundle on labelled images (MVTec-AD layout), on every engine here.

    Verdict agreement compares each engine with the first fp32 engine (or the first of all), each
    at its calibrated threshold; both at that of one where the other has none, and where neither
    has, each at the one that rejects 2 % of its good test parts. An engine that cannot be judged
    is left out; the exit code is 1 where it was asked for by name.

    Pictures that the station would not judge (CAMERA_FAULT) count as neither false rejects nor
    detected; the table says how many these are.
    """
    from deploy import evaluate as evaluation
    from deploy.report import Judged, report, table, to_json
    from training.dataset import load_labelled_images, read_dataset

    if json_file:
        check_writable(json_file)
        check_apart([json_file], [bundle, *calibration])
    opened = open_bundle(bundle)
    view = View.of(opened)
    given = read_dataset(data).test
    evaluation.check_test_set(given, set(apart))
    names = runtime or [name for name in HERE if evaluation.has_device(name, device)] or HERE
    chosen = [(name, device, each) for name in names for each in precision or PRECISIONS]
    records = evaluation.by_engine([read_record(path) for path in calibration], opened, chosen)
    items, canvases, masks = load_labelled_images(given, view, NoPart, say)
    evaluation.check_test_set(items, set(apart) & {item.kind for item in items})
    reference, found, failed = None, {}, None
    # What all are compared with goes first, and nobody's maps are kept longer than they are needed.
    for key in sorted(chosen, key=lambda each: each[2] != "fp32"):
        try:
            outcome = _outcome(opened, key, records.get(key), view, canvases)
        except InputError as error:
            failed = error
            say(f"left out: {error}")
            continue
        reference = reference or replace(outcome, maps=outcome.maps[:0].copy())
        found[key] = report(outcome, reference, items, masks, view.ignored_on_canvas, set(apart))
        del outcome
    if reference is None:
        raise failed or InputError("no runtime is installed here: install openvino or onnxruntime")
    reports = [found[key] for key in chosen if key in found]
    judged = Judged.of(opened, data, given, items, set(apart), reference)
    if json_file:
        write_atomically(json_file, to_json(judged, reports).encode())
    click.echo(table(judged, reports))
    answered = {name for name, _, _ in found}
    for key in set(chosen) - set(found):
        # fp32 is not missed on an NPU, which has none, unless somebody asked for it.
        if key in records or key[2] in precision or key[0] in set(runtime) - answered:
            sys.exit(1)


def _outcome(
    bundle: Bundle,
    choice: tuple[str, str, str],
    record: CalibrationRecord | None,
    view: View,
    canvases: NDArray[np.uint8],
) -> Outcome:
    """What one engine says of every image; raises InputError where it is not to be trusted."""
    from deploy.evaluate import inspect_all

    runtime, device, precision = choice
    engine = load_engine(bundle, runtime=runtime, device=device, precision=precision)
    try:
        self_test(engine, bundle)
        if record is not None:
            check_record(record, bundle, engine.fingerprint)
            check_repeated(record, golden_scores(engine, bundle))
        outcome = inspect_all(engine, view, canvases, record)
    finally:
        engine.close()
    say(f"inspected {len(canvases)} images on {engine.fingerprint}")
    return outcome
