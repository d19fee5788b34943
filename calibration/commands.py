"""The command `normline calibrate`."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from agent.age import shortcomings
from agent.bundle import open_bundle
from agent.engine import PRECISIONS, RUNTIMES
from agent.errors import InputError
from agent.files import check_apart, check_writable
from calibration.evidence import Evidence, Promise
from calibration.history import check_replaceable, replace_record
from calibration.rates import Rate
from calibration.report import FORMATS, make_report, write_report
from calibration.session import Options, checked_engine, from_folds, from_source
from calibration.words import describe, look_at

FILE = click.Path(path_type=Path)


@click.command(short_help="set the reject threshold from good parts")
@click.argument("bundle", type=FILE)
@click.argument("normals", metavar="[IMAGES_OR_CAMERA]", required=False)
@click.option(
    "--false-reject-rate",
    "rate",
    type=Rate(),
    required=True,
    help="Share of good parts that may be rejected: 0.01, 1% or 500ppm.",
)
@click.option("--out", required=True, type=FILE, help="The calibration record to write.")
@click.option(
    "--confidence",
    type=Rate(),
    help="Keep the rate with this probability, such as 95%.  [default: keep it on average]",
)
@click.option(
    "--review-rate",
    type=Rate(),
    help="Further share of good parts that may be held for a person's look.",
)
@click.option("--runtime", type=click.Choice(RUNTIMES), default="openvino", show_default=True)
@click.option("--device", default="CPU", show_default=True, help="As the runtime names it.")
@click.option("--precision", type=click.Choice(PRECISIONS), default="int8", show_default=True)
@click.option("--count", type=click.IntRange(min=1), help="Usable parts to take from a camera.")
@click.option(
    "--save",
    type=FILE,
    help="Keep a camera's pictures in this new folder; a run that was cut short goes on with it.",
)
@click.option(
    "--exclude", type=FILE, help="Text file of pictures that a person has looked at and ruled out."
)
@click.option(
    "--fold",
    "folds",
    type=(FILE, str),
    multiple=True,
    metavar="BUNDLE IMAGES",
    help="For few images: a model trained without IMAGES. Give every fold.",
)
@click.option(
    "--report",
    "reports",
    type=FILE,
    multiple=True,
    help="Write a report: FILE.html for people, FILE.json for programs.",
)
@click.option("--note", default="", help="Goes into record and report.")
@click.option(
    "--best-effort",
    is_flag=True,
    help="With too few samples, promise the lowest rate that they support.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the record as JSON.")
def calibrate(
    bundle: Path,
    normals: str | None,
    rate: float,
    out: Path,
    confidence: float | None,
    review_rate: float | None,
    runtime: str,
    device: str,
    precision: str,
    count: int | None,
    save: Path | None,
    exclude: Path | None,
    folds: tuple[tuple[Path, str], ...],
    reports: tuple[Path, ...],
    note: str,
    best_effort: bool,
    as_json: bool,
) -> None:
    """Set the reject threshold from good parts.

    IMAGES_OR_CAMERA is a folder of good images, a .txt file that names one a line (training
    leaves calibration.txt, the images it set aside), or a camera URI. The parts must be good, each
    different, and none that the model was trained on. Pictures that are dark, blurred, saturated
    or of a part seen before are left out, and named. The parts that set the limit are named as
    well: look at them, for a defect among them lifts it. Use the runtime, device and precision that
    the station will use: the record holds for no other. One that was in the file before is kept
    beside it, for recalibrate --restore.

    A camera that fails is opened again, and a line that stands is waited for, an hour at most.
    Where that ends early or is interrupted, the same command goes on with what --save has kept.

    \b
    Example:
      normline calibrate tile.nlb tiles/test/good --false-reject-rate 2% --out tile.cal.json
      normline calibrate tile.nlb 'v4l2:///dev/video0?exposure=157&gain=0' --count 300 \\
          --save good \\
          --false-reject-rate 1% --confidence 95% --out tile.cal.json --report tile.html
    """
    check_replaceable(out)
    for path in reports:
        check_writable(path)
    inputs = [bundle, *filter(None, [exclude]), *(Path(each) for fold in folds for each in fold)]
    if normals is not None and "://" not in normals:
        inputs.append(Path(normals))
    check_apart([out, *reports, *filter(None, [save])], inputs)
    if unknown := [path for path in reports if path.suffix not in FORMATS]:
        raise InputError(f"--report {unknown[0]}: the name must end in {' or '.join(FORMATS)}")
    if (normals is None) == (not folds):
        raise InputError("give either IMAGES_OR_CAMERA, or --fold for every fold")
    if folds and count is not None:
        raise InputError("--count is for cameras: every image of a fold is used")
    promise = Promise(rate, confidence, review_rate, best_effort)
    model = open_bundle(bundle)
    load = partial(checked_engine, runtime=runtime, device=device, precision=precision)
    options = Options(exclude, save, bool(reports))
    if normals is not None:
        scored = from_source(load, model, normals, count, promise, options)
    else:
        scored = from_folds(load, model, folds, promise, options)
    with scored as found:
        evidence = Evidence.of_normals(found.normals, cross=bool(folds))
        record = evidence.record(promise, model, found.engine, camera=found.camera, note=note)
        replace_record(out, record)
        lines = [f"note: {bundle}: {lack}" for lack in shortcomings(model.manifest)]
        lines += look_at(found.normals.parts, promise, record, shown=bool(reports))
        if reports:
            report = make_report(record, promise, found.normals, found.engine, model)
            for path in reports:
                write_report(path, report)
            lines += filter(None, [report.caution])
    for line in lines:
        click.echo(line, err=True)
    if as_json:
        click.echo(record.to_json())
    else:
        click.echo(f"{describe(record)}\nwritten to {', '.join(map(str, (out, *reports)))}")
