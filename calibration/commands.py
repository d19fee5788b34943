"""The command `normline calibrate`."""

from __future__ import annotations

import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from agent.bundle import open_bundle
from agent.engine import PRECISIONS, RUNTIMES, load_engine, self_test
from agent.files import check_writable
from agent.record import write_record
from calibration.calibrate import calibrate as calibrate_engine
from calibration.calibrate import describe
from calibration.sources import open_source
from calibration.threshold import rank


class Rate(click.ParamType):
    """A rate as 0.01, 1% or 500ppm."""

    name = "rate"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """A float in (0, 1)."""
        text, divisor = str(value).strip(), 1
        for suffix, parts in (("%", 100), ("ppm", 1_000_000)):
            if text.endswith(suffix):
                text, divisor = text[: -len(suffix)], parts
        try:
            # In floats, 0.7 / 100 is less than 0.007, and one sample more would be asked for.
            rate = float(Decimal(text) / divisor)
        except ArithmeticError:
            rate = 0.0
        if not 0 < rate < 1:
            self.fail(f"{value!r} is not a rate between 0 and 1, such as 0.01, 1% or 500ppm")
        return rate


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("normals", metavar="IMAGES_OR_CAMERA")
@click.option(
    "--false-reject-rate",
    "rate",
    type=Rate(),
    required=True,
    help="Share of good parts that may be rejected: 0.01, 1% or 500ppm.",
)
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="The calibration record to write."
)
@click.option("--runtime", type=click.Choice(RUNTIMES), default="openvino", show_default=True)
@click.option("--device", default="CPU", show_default=True, help="As the runtime names it.")
@click.option("--precision", type=click.Choice(PRECISIONS), default="int8", show_default=True)
@click.option("--count", type=click.IntRange(min=1), help="Parts to take from a camera.")
@click.option(
    "--best-effort",
    is_flag=True,
    help="With too few samples, promise the lowest rate that they support.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the record as JSON.")
def calibrate(
    bundle: Path,
    normals: str,
    rate: float,
    out: Path,
    runtime: str,
    device: str,
    precision: str,
    count: int | None,
    best_effort: bool,
    as_json: bool,
) -> None:
    """Set the reject threshold from good parts.

    IMAGES_OR_CAMERA is a folder of good images, a .txt file that names one a line (training
    leaves calibration.txt, the images it set aside), or a camera URI. The parts must be good, each
    different, and none that the model was trained on. Use the runtime, device and precision that
    the station will use: the record holds for no other.

    \b
    Example:
      normline calibrate tile.nlb tiles/test/good --false-reject-rate 2% --out tile.cal.json
    """
    check_writable(out)
    model = open_bundle(bundle)
    with open_source(normals, count) as source:
        rank(source.count, rate, best_effort=best_effort)
        engine = load_engine(model, runtime=runtime, device=device, precision=precision)
        try:
            self_test(engine, model)
            with click.progressbar(
                source.frames, length=source.count, label="scoring", file=sys.stderr
            ) as frames:
                record = calibrate_engine(
                    engine,
                    model,
                    frames,
                    rate,
                    best_effort=best_effort,
                    camera_settings_digest=source.settings_digest,
                )
        finally:
            engine.close()
    write_record(out, record)
    if as_json:
        click.echo(json.dumps(record.model_dump(by_alias=True), indent=1))
    else:
        click.echo(f"{describe(record)}\nwritten to {out}")
