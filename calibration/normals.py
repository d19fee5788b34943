"""Normal parts, scored on the engine that will run: what a threshold is taken from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from agent.bundle import Bundle
from agent.engine import Engine, EngineFault
from agent.errors import InputError, NoPart
from agent.imaging import is_grey
from agent.inspection import inspect
from agent.picture import Look, look_at
from agent.view import View
from calibration.gate import Gate

# The pixel limit comes from the level that this share of a normal map's pixels exceed.
PIXEL_SHARE = 0.001
# Parts whose picture is kept for the report, the largest scores.
KEPT = 8
# Where so many images are of one size, another size is a mistake; else sizes vary, as cut-outs do.
USUAL_SHARE = 0.9


@dataclass(frozen=True)
class Shown:
    """A part for the report: its canvas uint8 [H, W, 3] BGR and its map float32 [H, W]."""

    canvas: NDArray[np.uint8]
    anomaly_map: NDArray[np.float32]


@dataclass(frozen=True)
class Normal:
    """One part. level: what PIXEL_SHARE of its map's pixels exceed, logits."""

    name: str
    score: float
    level: float
    look: Look


@dataclass
class Normals:
    """The parts that count, and what was left out of the pictures given and why.

    sizes: (height, width) of the camera's images, by name.
    canvases: of the last few, which the most is known of, for synthetic defects; by name.
    shown: the parts with the largest scores, by name.
    """

    parts: list[Normal] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    excluded: list[str] = field(default_factory=list)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    canvases: dict[str, NDArray[np.uint8]] = field(default_factory=dict)
    shown: dict[str, Shown] = field(default_factory=dict)

    @property
    def frame_size(self) -> tuple[int, int] | None:
        """(height, width) of the camera's images; None where they vary, as cut-outs do."""
        sizes = set(self.sizes.values())
        return sizes.pop() if len(sizes) == 1 else None

    @property
    def scores(self) -> list[float]:
        """Ascending."""
        return sorted(part.score for part in self.parts)

    def add(self, more: Normals) -> None:
        """Take in the parts of another fold."""
        self.parts += more.parts
        self.refused |= more.refused
        self.sizes |= more.sizes
        self.canvases |= more.canvases
        self.shown |= more.shown
        self.keep_largest()

    def keep_largest(self) -> None:
        """Forget all pictures but those of the largest scores."""
        ranking = sorted(self.parts, key=lambda part: -part.score)
        there = [part.name for part in ranking if part.name in self.shown]
        self.shown = {name: self.shown[name] for name in there[:KEPT]}


class Collector:
    """Takes pictures one by one; none is left out without a word in `normals`."""

    def __init__(
        self,
        engine: Engine,
        bundle: Bundle,
        *,
        excluded: Collection[str] = (),
        canvases_kept: int = 0,
    ) -> None:
        """excluded: names that a person has ruled out; canvases_kept: as many for `canvases`."""
        self.normals = Normals()
        self._engine = engine
        self._view = View.of(bundle)
        ignored = self._view.ignored_on_canvas
        self._inspected = np.s_[:] if ignored is None else ~ignored
        self._excluded = excluded
        self._canvases_kept = canvases_kept
        self._gate = Gate()

    def add(self, name: str, image: NDArray[np.uint8]) -> str | None:
        """Score a part; returns why it does not count, None when it does.

        Raises:
            InputError: the view does not fit the image, or it has no finite score.
        """
        normals = self.normals
        if name in self._excluded:
            normals.excluded.append(name)
            self._gate.rule_out(name, image)
            return "excluded"
        try:
            canvas = self._view.canvas(image, name)
        except NoPart as missing:
            normals.refused[name] = missing.reason
            return missing.reason
        normals.sizes[name] = image.shape[0], image.shape[1]
        look = look_at(canvas)
        faded = self._view.coloured and is_grey(canvas)
        reason = self._gate.refuse(name, image, look, faded=faded)
        if reason is not None:
            normals.refused[name] = reason
            return reason
        try:
            inspection = inspect(self._engine, self._view, canvas)
        except EngineFault as fault:
            raise InputError(f"{name} cannot be scored: {fault}") from fault
        level = float(np.quantile(inspection.anomaly_map[self._inspected], 1 - PIXEL_SHARE))
        part = Normal(name, inspection.score, level, look)
        normals.parts.append(part)
        normals.canvases[name] = canvas
        if len(normals.canvases) > self._canvases_kept:
            del normals.canvases[next(iter(normals.canvases))]
        normals.shown[name] = Shown(canvas, inspection.anomaly_map)
        if len(normals.shown) > KEPT:
            normals.keep_largest()
        return None

    def look_again(self) -> None:
        """Leave out what all parts together show to be of no use.

        Raises:
            InputError: a few images are of another size than all others.
        """
        normals = self.normals
        _check_strays(normals.sizes)
        late = self._gate.look_again()
        for index, reason in late.items():
            name = normals.parts[index].name
            normals.refused[name] = reason
            normals.canvases.pop(name, None)
            normals.shown.pop(name, None)
        normals.parts = [p for index, p in enumerate(normals.parts) if index not in late]


def _check_strays(sizes: dict[str, tuple[int, int]]) -> None:
    if not sizes:
        return
    (usual, count), *others = Counter(sizes.values()).most_common()
    if others and count >= USUAL_SHARE * len(sizes):
        name, size = next(item for item in sizes.items() if item[1] != usual)
        raise InputError(
            f"{name} is {size[1]}x{size[0]}, {count} of {len(sizes)} images are "
            f"{usual[1]}x{usual[0]}: give images of one camera, as it delivers them"
        )
