"""From a run to a bundle: three precisions, golden values, and the gate that they must pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from agent.bundle import GOLDEN, Bundle, Golden, model_member, open_bundle, write_bundle
from agent.engine import PRECISIONS, EngineFault, installed_runtimes, load_engine, self_test
from agent.errors import InputError
from agent.files import write_atomically
from deploy.equalise import equalise
from deploy.finetune import finetune
from deploy.folded import FoldedInspector
from deploy.graph import export_graph, line_module
from deploy.half import check_half
from deploy.parity import (
    LIMITS,
    SEEN_AGAIN,
    Parity,
    Said,
    ask_engine,
    ask_module,
    check,
    compare,
    seen_again,
    span_of,
)
from deploy.quantise import measure_scales, quantise
from deploy.tensorrt import check_rules
from deploy.view import view_fields, view_members
from training.budget import Budget
from training.provenance import code_version
from training.run import Run

GOLDEN_FRAMES = 4
LEAST_GOOD = 8
# Golden maps are kept to this share of the scores' span: far finer than any tolerance, which are
# shares of it too, and less than half the bytes of all digits.
GOLDEN_STEP = 2.0**-12


@dataclass(frozen=True)
class GateResult:
    """How one runtime and precision compares with the trained model."""

    runtime: str
    precision: str
    found: Parity


def build_bundle(
    run: Run,
    frames: NDArray[np.uint8],
    anomalous: NDArray[np.bool_],
    out: Path,
    say: Callable[[str], None],
    tuning: Budget | None = None,
) -> list[GateResult]:
    """Export, quantise, and write `out` if every runtime here agrees with the trained model.

    Args:
        run: trained networks.
        frames: uint8 [N, H, W, 3] BGR at model size, to quantise and to compare with: good parts,
            then the same with an anomaly each. Golden frames are among them.
        anomalous: bool [N], frames that show an anomaly.
        out: the bundle.
        say: gets one line per stage.
        tuning: how long to fine-tune for INT8, on every second part; None for not at all.

    Raises:
        InputError: a precision strays beyond the limits; nothing is written then.
    """
    size = run.settings.input_size
    tunable = run.settings.family == "edge"
    if tuning and not tunable:
        raise InputError("--finetune is for the edge presets: leave it out")
    if tuning and (good := len(np.unique(frames[~anomalous], axis=0))) < LEAST_GOOD:
        raise InputError(
            f"--finetune learns from half of the run's good frames, is judged by the others, and "
            f"there are {good} of at least {LEAST_GOOD}: train with more images, or leave it out"
        )
    if frames.shape[1:3] != size:
        raise InputError(f"the run's frames are {frames.shape[1:3]}, its model takes {size}")
    trained = ask_module(run.inspector, frames)
    if not (np.isfinite(trained.scores).all() and np.isfinite(trained.maps).all()):
        raise InputError(
            f"the run {run.folder} gives scores that are not finite: its weights are damaged or "
            "its training diverged; train again"
        )
    exact = Exact(frames, anomalous, trained)
    line = line_module(run.inspector)
    say("exporting fp32")
    models = {"fp32": export_graph(line, size, "fp32")}
    say("exporting fp16")
    results = [GateResult("torch", "fp16", check_half(line, frames, anomalous, exact.span("fp16")))]
    models["fp16"] = export_graph(line, size, "fp16")
    say(f"quantising to int8 with {len(frames)} frames")
    models["int8"], judged = _int8(line, exact, size, tuning, say)
    for precision, model in models.items():
        check_rules(model, precision)
    candidate, content = _packed(run, models, exact, out.parent)
    say("comparing every precision on every runtime here with the trained model")
    advice = "; try --finetune 10m" if tunable and not tuning else ""
    results += gate(candidate, exact, judged.seen_again(run.inspector), advice)
    write_atomically(out, content)
    return results


@dataclass(frozen=True)
class Exact:
    """What the gate compares with: frames, whether each shows an anomaly, the trained answers."""

    frames: NDArray[np.uint8]
    anomalous: NDArray[np.bool_]
    trained: Said

    def span(self, precision: str) -> float:
        """What differences of that precision are shares of."""
        return span_of(precision, self.trained, self.anomalous)

    def every_second(self, first: int) -> Exact:
        """Half of the parts, each as it is and with its anomaly; equal ones, as a run of few images
        has, in one half.
        """
        parts = self.frames[: len(self.frames) // 2]
        _, begins, which = np.unique(parts, axis=0, return_index=True, return_inverse=True)
        # Numbered in the order in which they first come.
        numbers = np.argsort(np.argsort(begins))[which.ravel()]
        half = np.tile(numbers % 2 == first, 2)
        said = Said(self.trained.scores[half], self.trained.maps[half])
        return Exact(self.frames[half], self.anomalous[half], said)

    def seen_again(self, inspector: nn.Module) -> Exact:
        """With more frames of the same parts, and what `inspector` says of them."""
        more = seen_again(self.frames)
        return Exact(
            np.concatenate((self.frames, more)),
            np.tile(self.anomalous, SEEN_AGAIN + 1),
            self.trained.and_of_more(ask_module(inspector, more)),
        )


def gate(bundle: Bundle, exact: Exact, more: Exact, advice: str = "") -> list[GateResult]:
    """Run every precision on every runtime installed here against the trained model.

    Args:
        bundle: what is judged.
        more: for INT8, of which one verdict in 200 may differ.
        advice: for when INT8 strays.

    Raises:
        InputError: with the figures of the first that strays too far, or has no answer at all.
    """
    results = []
    for runtime in installed_runtimes():
        for precision in PRECISIONS:
            asked = more if precision == "int8" else exact
            engine = load_engine(bundle, runtime=runtime, device="CPU", precision=precision)
            try:
                said = ask_engine(engine, asked.frames)
                found = compare(said, asked.trained, asked.anomalous, asked.span(precision))
                helps = advice if precision == "int8" else ""
                check(f"the {precision} model on {runtime}", precision, found, helps)
                self_test(engine, bundle)
            except EngineFault as fault:
                raise InputError(
                    f"the {precision} model on {runtime} is not the trained model: it gave no "
                    f"usable answer for a frame: {fault}; train again, with another --seed"
                ) from fault
            finally:
                engine.close()
            results.append(GateResult(runtime, precision, found))
    return results


def _int8(
    line: nn.Module,
    exact: Exact,
    size: tuple[int, int],
    tuning: Budget | None,
    say: Callable[[str], None],
) -> tuple[bytes, Exact]:
    """The INT8 model, and what it is to be judged by: of one that was tuned, frames that were not.

    Of what it was tuned on it says little but that it was.
    """
    if isinstance(line, FoldedInspector):
        line = equalise(line, exact.frames)
    graph = export_graph(line, size, "fp32")
    scales = measure_scales(graph, exact.frames)
    if tuning:
        line, scales = finetune(line, graph, scales, exact.every_second(0).frames, tuning, say)
        graph, exact = export_graph(line, size, "fp32"), exact.every_second(1)
    return quantise(graph, scales), exact


def _packed(run: Run, models: dict[str, bytes], exact: Exact, folder: Path) -> tuple[Bundle, bytes]:
    """A bundle that the gate has still to pass, and its bytes.

    It lies in `folder` for a moment only, under a name of its own: a killed export leaves none
    that could be taken for one that has passed, and of two at once each judges its own.
    """
    span = float(np.ptp(exact.trained.scores))
    members = {model_member(precision): model for precision, model in models.items()}
    members[GOLDEN] = _golden(exact, span).to_bytes()
    with TemporaryDirectory(prefix=".export.", dir=folder) as own:
        path = Path(own) / "unjudged.nlb"
        write_bundle(path, _manifest_fields(run, span), members | view_members(run))
        return open_bundle(path), path.read_bytes()


def _manifest_fields(run: Run, span: float) -> dict[str, Any]:
    return {
        "product": run.settings.product,
        "preset": run.settings.preset,
        "input_size": run.settings.input_size,
        **view_fields(run),
        "training_data_digest": run.settings.data_digest,
        "code_version": code_version(),
        "created_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "tolerances": {
            precision: {"score": limits.score * span, "map": limits.map * span}
            for precision, limits in LIMITS.items()
        },
    }


def _golden(exact: Exact, span: float) -> Golden:
    """Good and anomalous frames with what the trained model itself says of them in float32."""
    step = max(GOLDEN_STEP * span, float(np.finfo(np.float32).eps))
    half, anomalous = GOLDEN_FRAMES // 2, exact.anomalous
    chosen = np.concatenate((np.flatnonzero(~anomalous)[:half], np.flatnonzero(anomalous)[:half]))
    scores = exact.trained.scores[chosen].astype(np.float32)
    maps = np.round(exact.trained.maps[chosen] / step) * step
    return Golden(exact.frames[chosen], scores, maps.astype(np.float32))
