"""The paper's comparisons: what one step, two scales, w, t and the synthesis buy."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

from training.benchmark import variants
from training.benchmark.inspectors import (
    Inspector,
    Rebuild,
    ancestral,
    implicit,
    one_scale,
    two_scales,
)
from training.benchmark.judge import Figures, check_test_images, judge
from training.benchmark.kept import digest_of_test, digests, figures_in, read_kept
from training.benchmark.models import trained_model
from training.benchmark.table import COLUMNS, cells, markdown
from training.dataset import Dataset, check_masks
from training.errors import InputError
from training.files import replace_text
from training.model import T_NOISIER, T_NORMAL, DiffusionAD
from training.order import Order, Variant
from training.presets import preset
from training.run import load_view, read_settings

WEIGHTS = (0.0, 0.5, 1.0, 2.0)
SCALES = ((100, 200), (100, 400), (200, 400), (200, 600), (300, 600))
FEW_STEPS = 10


@dataclass(frozen=True)
class Row:
    """One line of a comparison: a training (by the name of its folder) and a way to inspect."""

    label: str
    training: str
    variant: Variant
    rebuild: Rebuild
    segments: bool = True


def denoising(full: bool) -> list[Row]:
    """One step against many; one training, at every scale on the way down."""

    def row(label: str, rebuild: Rebuild) -> Row:
        return Row(label, "wide", variants.WIDE, rebuild)

    rows = [
        row("one step, two scales", two_scales()),
        row(f"one step from {T_NOISIER}", one_scale(T_NOISIER)),
        row(f"{FEW_STEPS} steps from {T_NOISIER}, DDIM", implicit(T_NOISIER, FEW_STEPS)),
    ]
    if full:
        rows.append(row(f"{T_NOISIER} steps, DDIM", implicit(T_NOISIER, T_NOISIER)))
        rows.append(row(f"{T_NOISIER} steps, DDPM", ancestral(T_NOISIER)))
    return rows


def scales(full: bool) -> list[Row]:
    """One scale against two; each trained as it is used."""
    return [
        Row(f"t = {T_NORMAL} alone", "smaller-scale", variants.SMALLER_SCALE, one_scale(T_NORMAL)),
        Row(f"t = {T_NOISIER} alone", "larger-scale", variants.LARGER_SCALE, one_scale(T_NOISIER)),
        Row("both, norm-guided", "preset", variants.PRESET, two_scales()),
    ]


def w(full: bool) -> list[Row]:
    """The guidance weight: at the test alone, or (in full) trained with as well."""
    if full:
        return [
            Row(
                f"w = {value:g}",
                f"w-{value:g}",
                variants.guided_by(value),
                two_scales(weight=value),
            )
            for value in WEIGHTS
        ]
    return [
        Row(f"w = {value:g}", "preset", variants.PRESET, two_scales(weight=value))
        for value in WEIGHTS
    ]


def t(full: bool) -> list[Row]:
    """The two noise scales: at the test alone, or (in full) trained around as well."""
    return [
        Row(
            f"t = {smaller}, {larger}",
            f"t-{smaller}-{larger}" if full else "wide",
            variants.at_scales(smaller, larger) if full else variants.WIDE,
            two_scales(smaller, larger),
        )
        for smaller, larger in SCALES
    ]


def synthesis(full: bool) -> list[Row]:
    """With synthetic anomalies, and without: then the map is image minus reconstruction."""
    return [
        Row("on, segmentation", "preset", variants.PRESET, two_scales()),
        Row("on, difference", "preset", variants.PRESET, two_scales(), segments=False),
        Row("off, difference", "no-synthesis", variants.NO_SYNTHESIS, two_scales(), segments=False),
    ]


def contrast(full: bool) -> list[Row]:
    """What the segmentation net is shown beside image and reconstruction."""
    neither = variants.seeing(reconstruction=False, surroundings=False)
    rebuilt = variants.seeing(reconstruction=True, surroundings=False)
    around = variants.seeing(reconstruction=False, surroundings=True)
    return [
        Row("neither", "contrast-neither", neither, two_scales()),
        Row("against the reconstruction", "contrast-rebuilt", rebuilt, two_scales()),
        Row("against the surroundings", "contrast-around", around, two_scales()),
        Row("both", "preset", variants.PRESET, two_scales()),
        Row("both, not told of lines", "no-lines", variants.NO_LINES, two_scales()),
        Row(
            "both, painting learnt to the end",
            "painting-throughout",
            variants.PAINTING_THROUGHOUT,
            two_scales(),
        ),
    ]


def anomalies(full: bool) -> list[Row]:
    """What is pasted: drawn defects as a camera shows them, and that with one trait taken away."""
    return [
        Row("drawn defects and textures", "preset", variants.PRESET, two_scales()),
        Row("sharper than the pictures", "sharp", variants.SHARP, two_scales()),
        Row("seen or not", "even-unseen", variants.EVEN_UNSEEN, two_scales()),
        Row("an object's as a surface's", "surfaces-alone", variants.SURFACES_ALONE, two_scales()),
        Row("textures alone", "textures-alone", variants.TEXTURES_ALONE, two_scales()),
    ]


COMPARISONS: dict[str, Callable[[bool], list[Row]]] = {
    "denoising": denoising,
    "scales": scales,
    "w": w,
    "t": t,
    "synthesis": synthesis,
    "contrast": contrast,
    "anomalies": anomalies,
}
# It takes away, row by row, what only the networks and the recipe of the edge presets have.
OF_EDGE = "contrast"
# The last row of every comparison: what a reconstruction has to beat.
BASELINE = Row("no diffusion, blurred copy", "no-diffusion", variants.NO_DIFFUSION, two_scales())


def run_comparison(
    name: str, full: bool, data: Dataset, order: Order, say: Callable[[str], None]
) -> str:
    """Train what the comparison needs below `order.out` and judge its rows; returns the table.

    Trainings are shared between comparisons and not repeated, nor are rows that still hold. The
    table is left in `<name>.md`, its figures in `<name>.json`, both written anew after every row.

    Raises InputError where its rows would all be trained and judged alike.
    """
    if name == OF_EDGE and preset(order.preset).family != "edge":
        raise InputError(
            f"{name} compares what the edge presets' segmentation net is shown; all its rows of "
            f"--preset {order.preset} would be one model: give another preset"
        )
    check_test_images("a comparison", data.test)
    check_masks(data.test)
    rows, path = (*COMPARISONS[name](full), BASELINE), order.out / f"{name}.json"
    tested, kept, found = digest_of_test(data), read_kept(path), dict[str, Figures]()
    for row in rows:
        now = digests(order.out / row.training, tested)
        if figures := figures_in(kept.get(row.label), now):
            found[row.label] = figures
    table = ""
    for row in rows:
        say(f"{name}: {row.label}")
        each = replace(order, out=order.out / row.training)
        model = trained_model(each, data.train_good, say, row.variant)
        if row.label not in found:
            figures = _judged(model, row, data, each, say)
            found[row.label] = figures
            kept[row.label] = {**asdict(figures), **digests(each.out, tested)}
        shown = {row.label: found[row.label] for row in rows if row.label in found}
        lines = [[label, *cells(figures), f"{figures.ms:.1f}"] for label, figures in shown.items()]
        table = markdown([name, *COLUMNS, "ms an image"], lines)
        replace_text(order.out / f"{name}.md", table)
        records = {label: kept[label] for label in shown}
        replace_text(path, json.dumps(records, indent=1) + "\n")
    return table


def _judged(
    model: DiffusionAD, row: Row, data: Dataset, order: Order, say: Callable[[str], None]
) -> Figures:
    settings = read_settings(order.out)
    inspector = Inspector(model, order.input_size, settings.noise_seed, row.rebuild, row.segments)
    device = next(model.parameters()).device
    view = load_view(order.out, settings)
    return judge(inspector.eval().to(device), data, view, say)
