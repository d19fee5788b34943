"""Published figures of DiffusionAD, in percent, to stand beside what is measured here.

They come from much longer trainings of a much larger model, on a checkpoint that was chosen on the
test set. Where a figure is missing, none is known to this file.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """One source's figures over a whole benchmark.

    image_auroc_of: what it says of single categories.
    """

    source: str
    image_auroc: float
    pixel_auroc: float | None = None
    aupro: float | None = None
    pixel_ap: float | None = None
    image_auroc_of: tuple[tuple[str, float], ...] = ()


PUBLISHED: dict[str, tuple[Published, ...]] = {
    "MVTec-AD": (
        Published("paper (arXiv 2303.08730)", 99.7, 98.7, 95.7, 76.1),
        Published(
            "official model, re-run by others",
            98.9,
            98.1,
            None,
            74.9,
            (("capsule", 93.9), ("cable", 97.1), ("pill", 97.4), ("screw", 98.0)),
        ),
    ),
}
# Of VisA, DAGM and MPDD one figure is known, the mean over them and MVTec-AD.
FOUR_BENCHMARKS = Published("paper, mean of MVTec-AD, VisA, DAGM and MPDD", 98.6)
IN_THE_MEAN = ("VisA", "DAGM", "MPDD")


def published(benchmark: str) -> tuple[Published, ...]:
    """What is known of that benchmark."""
    if benchmark in IN_THE_MEAN:
        return (FOUR_BENCHMARKS,)
    return PUBLISHED.get(benchmark, ())
