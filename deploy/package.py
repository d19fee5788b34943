"""From a run to a bundle: three precisions, golden values, and the gate that they must pass."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from agent.bundle import Golden, model_member, open_bundle, write_bundle
from agent.engine import PRECISIONS, RUNTIMES, Deviation, load_engine, self_test
from agent.errors import InputError
from deploy.graph import export_graph
from deploy.quantise import quantise
from deploy.view import view_fields, view_members
from training.run import Run

GOLDEN_FRAMES = 4
# Share of the span of golden scores, from the best part to the worst defect, that a precision may
# stray: a score, and the mean over a map.
TOLERATED = {"fp32": (1e-3, 1e-3), "fp16": (1e-2, 1e-2), "int8": (0.15, 0.05)}


@dataclass(frozen=True)
class GateResult:
    """What one runtime and precision deviates from golden, and what it may."""

    runtime: str
    precision: str
    found: Deviation
    score_tolerance: float
    map_tolerance: float


def build_bundle(
    run: Run,
    frames: NDArray[np.uint8],
    anomalous: NDArray[np.bool_],
    out: Path,
    say: Callable[[str], None],
) -> list[GateResult]:
    """Export, quantise, and write `out` if every runtime here agrees with the trained model.

    Args:
        run: trained networks.
        frames: uint8 [N, H, W, 3] BGR at model size, to quantise with; golden frames are among
            them.
        anomalous: bool [N], frames that show an anomaly.
        out: the bundle.
        say: gets one line per stage.

    Raises:
        InputError: a precision strays beyond the tolerance; nothing is written then.
    """
    golden = golden_values(run, frames, anomalous)
    size = run.settings.input_size
    say("exporting fp32")
    models = {"fp32": export_graph(run.inspector, size, "fp32")}
    say("exporting fp16")
    models["fp16"] = export_graph(run.inspector, size, "fp16")
    say(f"quantising to int8 with {len(frames)} frames")
    models["int8"] = quantise(models["fp32"], frames)
    span = float(golden.scores.max() - golden.scores.min())
    fields = {
        "product": run.settings.product,
        "preset": run.settings.preset,
        "input_size": size,
        **view_fields(run),
        "training_data_digest": run.settings.data_digest,
        "code_version": version("normline"),
        "created_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "tolerances": {
            precision: {"score": score * span, "map": map_ * span}
            for precision, (score, map_) in TOLERATED.items()
        },
    }
    members = {model_member(precision): model for precision, model in models.items()}
    members["golden.npz"] = golden.to_bytes()
    members |= view_members(run)
    candidate = out.with_name(out.name + ".candidate")
    write_bundle(candidate, fields, members)
    try:
        results = list(gate(candidate))
        os.replace(candidate, out)
    finally:
        candidate.unlink(missing_ok=True)
    return results


def gate(path: Path) -> list[GateResult]:
    """Run every precision on every runtime installed here against the golden values.

    Raises:
        InputError: with the figures of the first that strays too far.
    """
    bundle = open_bundle(path)
    results = []
    for runtime in (name for name in RUNTIMES if find_spec(name)):
        for precision in PRECISIONS:
            engine = load_engine(bundle, runtime=runtime, device="CPU", precision=precision)
            try:
                found = self_test(engine, bundle)
            finally:
                engine.close()
            allowed = bundle.manifest.tolerances[precision]
            results.append(GateResult(runtime, precision, found, allowed.score, allowed.map))
    return results


@torch.inference_mode()
def golden_values(run: Run, frames: NDArray[np.uint8], anomalous: NDArray[np.bool_]) -> Golden:
    """Good and anomalous frames with what the trained model itself says of them in float32."""
    half = GOLDEN_FRAMES // 2
    chosen = np.concatenate((np.flatnonzero(~anomalous)[:half], np.flatnonzero(anomalous)[:half]))
    picked = frames[chosen]
    if picked.shape[1:3] != run.settings.input_size:
        raise InputError(
            f"the run's frames are {picked.shape[1:3]}, its model takes {run.settings.input_size}"
        )
    outputs = [run.inspector(torch.from_numpy(frame[None])) for frame in picked]
    maps, scores, _ = (torch.cat(values).numpy() for values in zip(*outputs, strict=True))
    return Golden(picked, scores.astype(np.float32), maps.astype(np.float32))
