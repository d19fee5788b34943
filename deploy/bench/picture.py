"""Latency against accuracy, as a picture."""

from __future__ import annotations

from pathlib import Path

from agent.errors import InputError
from deploy.bench.measure import Row

MARKERS = {"openvino": "o", "onnxruntime": "s"}
FORMATS = (".png", ".svg", ".pdf")
COLOURS = {"fp32": "tab:grey", "fp16": "tab:blue", "int8": "tab:red"}
# Less is no difference that a picture should make look like one.
LEAST_SPAN = 0.02


def draw(rows: list[Row], path: Path) -> None:
    """Write a picture of every row whose accuracy is known; `path` ends in one of FORMATS.

    Raises:
        InputError: it cannot be written.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 4.5), layout="constrained")
    for row in rows:
        if row.image_auroc is None:
            continue
        axes.plot(
            row.p50_ms,
            row.image_auroc,
            MARKERS.get(row.runtime, "^"),
            color=COLOURS[row.precision],
            label=f"{row.name} {row.precision} {row.runtime}, {row.p50_ms:.1f} ms",
        )
    low, high = axes.get_ylim()
    room = max(0.0, LEAST_SPAN - (high - low)) / 2
    axes.set_ylim(low - room, high + room)
    axes.set_xscale("log")
    for axis in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
        axis("{x:g}")
    figure.legend(loc="outside right upper", fontsize=7)
    axes.set_xlabel("p50 of one frame, ms")
    axes.set_ylabel("image AUROC")
    axes.grid(alpha=0.3)
    try:
        figure.savefig(path, dpi=150)
    except OSError as error:
        raise InputError(f"cannot write the picture {path}: {error}") from error
    finally:
        pyplot.close(figure)
