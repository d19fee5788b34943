"""What is asked of a training, by a user or by a comparison."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from training.budget import Budget
from training.model import DiffusionAD
from training.presets import Preset
from training.selection import SelectionSet
from training.synthesis import Synthesizer
from training.wish import ViewWish


@dataclass(frozen=True)
class Order:
    """What a user asks of a training."""

    out: Path
    preset: str
    budget: Budget
    input_size: tuple[int, int]
    view: ViewWish
    seed: int
    device: str
    product: str
    textures: Path | None
    resume: bool
    batch_size: int | None = None


@dataclass(frozen=True)
class Variant:
    """What a comparison changes: the recipe, the model, what pastes anomalies, what judges."""

    recipe: Callable[[Preset], Preset] = lambda recipe: recipe
    build: Callable[[Preset], DiffusionAD] = DiffusionAD.of
    synthesizer: type[Synthesizer] = Synthesizer
    selection: type[SelectionSet] = SelectionSet


AS_PRESET = Variant()
