"""What the same weights, in the same precision, on the same runtime, are worth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from agent.bundle import Bundle
from agent.engine import load_engine
from agent.errors import NoPart
from agent.view import View
from deploy.evaluate import check_test_set, inspect_all
from training.dataset import load_labelled_images, read_dataset
from training.metrics import image_auroc


def accuracies(
    bundles: dict[str, Bundle],
    engines: Sequence[tuple[str, str, str]],
    device: str,
    data: Path,
    apart: set[str],
    say: Callable[[str], None],
) -> dict[tuple[str, str, str], float]:
    """Image AUROC of engines by (name, runtime, precision), without the kinds in `apart`.

    `say` gets a line for what is left out, and for each engine.
    """
    items = read_dataset(data).test
    check_test_set(items, apart)
    chosen = [item for item in items if item.kind not in apart]
    found = {}
    for name, bundle in bundles.items():
        view = View.of(bundle)
        shown, canvases, _ = load_labelled_images(chosen, view, NoPart, say)
        check_test_set(shown, set())
        defective = np.array([item.defective for item in shown])
        for of, runtime, precision in engines:
            if of != name:
                continue
            engine = load_engine(bundle, runtime=runtime, device=device, precision=precision)
            try:
                outcome = inspect_all(engine, view, canvases)
            finally:
                engine.close()
            found[name, runtime, precision] = image_auroc(defective, outcome.scores)
            say(f"{name} {runtime} {precision}: {len(shown)} images inspected")
    return found
