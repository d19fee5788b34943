"""Good images parted into those that are trained on and those that are not.

All pictures of one part land on one side: what is new of a part is no longer new in its second
picture, and a limit taken there is too low.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

# The pictures of each part.
ByPart = Mapping[Path, Sequence[Path]]


def group_by_part(paths: Sequence[Path]) -> ByPart:
    """The pictures of each part: those in a folder below the one that holds all are of one.

    By that folder, or by the picture itself where it lies beside such folders.
    """
    home = Path(os.path.commonpath([path.parent for path in paths]))
    parts = defaultdict[Path, list[Path]](list)
    for path in paths:
        parts[home / path.relative_to(home).parts[0]].append(path)
    return parts


def split_normals(parts: ByPart, seed: int, fraction: float) -> tuple[ByPart, ByPart]:
    """Parts to train on, and the `fraction` of them held out.

    A hash of seed and name decides, so neither the order nor the folder matters, and adding
    images moves few of the others across. At least one part lands on each side.
    """
    held = min(max(round(fraction * len(parts)), 1), len(parts) - 1)
    ranked = sorted(parts, key=lambda part: _draw(seed, part))
    train, held_out = ranked[held:], ranked[:held]
    return {part: parts[part] for part in train}, {part: parts[part] for part in held_out}


def pictures(parts: ByPart) -> list[Path]:
    """All of them, sorted."""
    return sorted(path for together in parts.values() for path in together)


def one_of_each(parts: ByPart, seed: int) -> list[Path]:
    """One picture of each part, drawn by `seed`, sorted."""
    return sorted(min(together, key=lambda path: _draw(seed, path)) for together in parts.values())


def _draw(seed: int, path: Path) -> bytes:
    return hashlib.sha256(f"{seed}/{path.name}".encode()).digest()
