"""The command `normline doctor`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from agent.bundle import open_bundle
from agent.doctor import EngineCheck, Report, Wish, examine
from agent.engine import PRECISIONS, RUNTIMES


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path), required=False)
@click.option("--runtime", type=click.Choice(RUNTIMES), help="Only this one.  [default: all]")
@click.option("--device", help="Only this one, such as TensorRT.  [default: all]")
@click.option("--precision", type=click.Choice(PRECISIONS), help="Only this one.  [default: all]")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.pass_context
def doctor(
    context: click.Context,
    bundle: Path | None,
    runtime: str | None,
    device: str | None,
    precision: str | None,
    as_json: bool,
) -> None:
    """Say what is installed and missing, and test a bundle on every engine here.

    With a BUNDLE, each runtime, device and precision is compared with the golden values that the
    bundle carries, and timed. For an NVIDIA GPU this also builds the TensorRT engines, which takes
    minutes the first time. Exits with 1 when a self-test fails or no engine works, or when one
    that was asked for by --runtime, --device or --precision does not.

    \b
    Example:
      normline doctor tile.nlb
      normline doctor tile.nlb --device TensorRT --precision int8
    """
    wish = Wish(runtime, device, precision)
    if wish and bundle is None:
        raise click.UsageError("an engine is tested with a BUNDLE: give one")
    report = examine(open_bundle(bundle) if bundle else None, wish)
    healthy = report.healthy(with_bundle=bundle is not None, all_asked=bool(wish))
    if as_json:
        click.echo(json.dumps({"healthy": healthy, **asdict(report)}, indent=1))
    else:
        click.echo("\n".join(_lines(report)))
        click.echo("healthy" if healthy else "NOT healthy")
    context.exit(0 if healthy else 1)


def _lines(report: Report) -> list[str]:
    lines = [f"{name:<12} {text}" for name, text in report.versions.items()]
    lines.append(
        f"{'cpu':<12} {report.cpu['name']}, {report.cpu['physical_cores']} cores, "
        f"INT8 {report.cpu['int8']}"
    )
    for name, runtime in report.runtimes.items():
        lines.append(f"{name:<12} {runtime.version}, devices: {', '.join(runtime.devices)}")
    lines += [f"{name:<12} missing: {reason}" for name, reason in report.missing.items()]
    lines += [_engine_line(check) for check in report.engines]
    return lines + [f"{'bundle':<12} {each}" for each in report.shortcomings]


def _engine_line(check: EngineCheck) -> str:
    line = f"{check.runtime:<12} {check.device:<9} {check.precision:<5} {check.status:<12}"
    findings = []
    if check.deviation is not None:
        score, map_ = check.deviation.score, check.deviation.map
        findings.append(f"differs from golden by {score:.4f} in scores, {map_:.4f} in maps")
    if check.latency is not None:
        p50, p99 = check.latency.p50_ms, check.latency.p99_ms
        of_tiles = "" if check.tiles == 1 else f" of {check.tiles} tiles each"
        findings.append(
            f"p50 {p50:.2f} ms, p99 {p99:.2f} ms over {check.latency.samples} parts{of_tiles}"
        )
    if check.reason is not None:
        findings.append(check.reason)
    return f"{line} {'; '.join(findings)}"
