"""Latency against accuracy, as a picture."""

from __future__ import annotations

from pathlib import Path

from agent.errors import InputError
from deploy.bench.measure import Row

MARKERS = {"openvino": "o", "onnxruntime": "s"}
COLOURS = {"fp32": "tab:grey", "fp16": "tab:blue", "int8": "tab:red"}


def draw(rows: list[Row], path: Path) -> None:
    """Write a picture (the ending names the format) of every row whose accuracy is known.

    Raises:
        InputError: an unknown format, or no row to draw.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    known = [(row, row.image_auroc) for row in rows if row.image_auroc is not None]
    if not known:
        raise InputError("--picture needs --data: without accuracy there is nothing to draw")
    figure, axes = pyplot.subplots(figsize=(7, 4.5), constrained_layout=True)
    for row, auroc in known:
        axes.plot(
            row.p50_ms,
            auroc,
            MARKERS.get(row.runtime, "^"),
            color=COLOURS[row.precision],
        )
        axes.annotate(
            f"{row.name} {row.precision} {row.runtime}",
            (row.p50_ms, auroc),
            xytext=(5, 4),
            textcoords="offset points",
            fontsize=7,
        )
    axes.set_xscale("log")
    axes.set_xlabel("p50 of one frame, ms")
    axes.set_ylabel("image AUROC")
    axes.grid(alpha=0.3)
    try:
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot write the picture {path}: {error}") from error
    finally:
        pyplot.close(figure)
