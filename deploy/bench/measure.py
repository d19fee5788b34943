"""Who takes part in a bench, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from agent.bundle import Bundle
from agent.engine import load_engine, self_test
from agent.engine.cpu import physical_cores
from agent.engine.unsigned import levels
from agent.errors import InputError
from deploy.bench.cameras import Throughput
from deploy.bench.references import (
    chain_graph,
    efficientad_graph,
    example_input,
    graph_gflop,
    official_call,
)
from deploy.bench.rounds import Contestant

PEAK, EFFICIENTAD, OFFICIAL = "peak (3x3 conv chain)", "EfficientAD-S", "DiffusionAD official"


@dataclass(frozen=True)
class Row:
    """One line of the table.

    share: of the machine's INT8 convolution peak; None without it. faster_than: how many times
    faster than each reference of the same frame size in the same rounds. image_auroc: of the same
    weights in the same precision on the same runtime; None where no data was given.
    """

    name: str
    runtime: str
    device: str
    precision: str
    gflop: float
    p50_ms: float
    p99_ms: float
    gop_s: float
    share: float | None
    faster_than: dict[str, float]
    image_auroc: float | None = None


@dataclass(frozen=True)
class Bench:
    """All that a bench found, and where."""

    cpu: str
    cores: int
    rows: list[Row]
    cameras: list[Throughput]

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def bundle_contestants(
    name: str,
    bundle: Bundle,
    runtimes: Sequence[str],
    device: str,
    stack: ExitStack,
    say: Callable[[str], None],
) -> list[Contestant]:
    """Every precision of a bundle on every runtime; an engine that fails its self-test is out.

    Raises:
        InputError: all are.
    """
    frames = bundle.golden().frames
    contestants = []
    for runtime in runtimes:
        for precision in bundle.precisions:
            try:
                engine = load_engine(bundle, runtime=runtime, device=device, precision=precision)
                stack.callback(engine.close)
                self_test(engine, bundle)
            except InputError as error:
                say(f"left out: {error}")
                continue
            gflop = graph_gflop(bundle.model(precision))
            call = partial(engine.infer, frames[0])
            size = bundle.manifest.input_size
            contestants.append(
                Contestant(name, runtime, precision, gflop, call, device=device, input_size=size)
            )
    if not contestants:
        raise InputError(f"no engine of {name} can be timed here: see above why")
    return contestants


def reference_contestants(
    input_size: tuple[int, int], official: bool, say: Callable[[str], None]
) -> list[Contestant]:
    """The machine's peak, EfficientAD-S, and DiffusionAD at its official size."""
    contestants = []
    say("building the reference graphs")
    for name, graph in ((PEAK, chain_graph()), (EFFICIENTAD, efficientad_graph())):
        contestants.append(
            Contestant(name, "openvino", "int8", graph_gflop(graph), openvino_call(graph))
        )
    if official:
        say("building DiffusionAD at its official size (132 + 28 million parameters)")
        torch.set_num_threads(physical_cores())
        call, gflop = official_call(input_size)
        contestants.append(
            Contestant(OFFICIAL, "pytorch", "fp32", gflop, call, input_size=input_size)
        )
    return contestants


def openvino_call(graph: bytes) -> Callable[[], object]:
    """One inference of any graph, compiled exactly as an engine's."""
    import openvino as ov

    from agent.engine.openvino import compile_options, core, read_graph

    options = compile_options("CPU", "int8", physical_cores())
    try:
        model = read_graph(graph, levels("CPU", "int8"))
        request = core().compile_model(model, "CPU", options).create_infer_request()
    except RuntimeError as error:
        raise InputError(f"OpenVINO cannot load a reference graph: {error}") from error
    request.set_input_tensor(ov.Tensor(np.ascontiguousarray(example_input(graph))))
    return request.infer


def rows(contestants: list[Contestant], accuracy: dict[tuple[str, str, str], float]) -> list[Row]:
    """The table, in the order of the contestants."""
    peak = next((each.gop_s for each in contestants if each.name == PEAK), None)
    references = [c for c in contestants if c.name in (EFFICIENTAD, OFFICIAL)]
    found = []
    for each in contestants:
        others = [] if each.name == PEAK or each in references else references
        found.append(
            Row(
                each.name,
                each.runtime,
                each.device,
                each.precision,
                each.gflop,
                each.p50_ms,
                each.p99_ms,
                each.gop_s,
                each.gop_s / peak if peak else None,
                {
                    other.name: other.p50_ms / each.p50_ms
                    for other in others
                    if other.input_size == each.input_size
                },
                accuracy.get((each.name, each.runtime, each.precision)),
            )
        )
    return found


def table(bench: Bench) -> str:
    """A bench as text."""
    lines = [
        f"{bench.cpu}, {bench.cores} cores; medians over interleaved rounds, frame to score",
        f"{'model':24} {'runtime':12} {'device':8} {'precision':9} {'GFLOP':>8} {'p50 ms':>8} "
        f"{'p99 ms':>8} {'GOP/s':>6} {'of peak':>7} {'AUROC':>6}  faster than",
    ]
    for row in bench.rows:
        share = "-" if row.share is None else f"{row.share:.0%}"
        auroc = "-" if row.image_auroc is None else f"{row.image_auroc:.3f}"
        faster = ", ".join(f"{name} {times:.1f} x" for name, times in row.faster_than.items())
        lines.append(
            f"{row.name:24} {row.runtime:12} {row.device:8} {row.precision:9} {row.gflop:8.2f} "
            f"{row.p50_ms:8.2f} {row.p99_ms:8.2f} {row.gop_s:6.0f} {share:>7} {auroc:>6}  {faster}"
        )
    if bench.cameras:
        lines += [
            "",
            "several cameras on one engine, each sending as soon as it is answered",
            f"{'runtime':12} {'device':8} {'precision':9} {'cameras':>7} {'streams':>7} "
            f"{'frames/s':>9} {'p50 ms':>8} {'p99 ms':>8}",
        ]
    for each in bench.cameras:
        lines.append(
            f"{each.runtime:12} {each.device:8} {each.precision:9} {each.cameras:7} "
            f"{each.streams:7} {each.frames_per_s:9.1f} {each.p50_ms:8.2f} {each.p99_ms:8.2f}"
        )
    return "\n".join(lines)
