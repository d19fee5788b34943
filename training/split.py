"""Good images parted into those that are trained on and those that are not.

Pictures of one part lie in a folder of its own, `train/good/<part>/*`. All of them land on one
side: what is new of a part is no longer new in its second picture, and a limit taken there is too
low.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

# Where the folders of parts lie.
PARTS = ("train", "good")
# The pictures of each part.
ByPart = Mapping[Path, Sequence[Path]]


def group_by_part(paths: Sequence[Path]) -> ByPart:
    """The pictures of each part, by its folder; by the picture itself where it has none."""
    parts = defaultdict[Path, list[Path]](list)
    for path in paths:
        has_folder = path.parent.parent.parts[-2:] == PARTS
        parts[path.parent if has_folder else path].append(path)
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
    return sorted(
        # By the part too: where all name their pictures alike, it would be the same of each.
        min(together, key=lambda path: _draw(f"{seed}/{part.name}", path))
        for part, together in parts.items()
    )


def _draw(seed: int | str, path: Path) -> bytes:
    return hashlib.sha256(f"{seed}/{path.name}".encode()).digest()
