"""Folders of good parts: refused where the names in them tell of other pictures."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from agent.errors import InputError
from agent.imaging import list_images

GOOD = frozenset({"good", "ok"})
# A word of a folder's name, or all of them together, as in n.i.O. and not_ok.
BAD = frozenset(
    {
        *("bad", "nok", "ng", "nio", "notok", "notgood", "faulty", "scrap"),
        *("defect", "defects", "defective", "reject", "rejects", "rejected"),
        *("anomaly", "anomalies", "anomalous"),
    }
)
DATA_SET = frozenset({"train", "test", "ground_truth"})


def list_good_images(folder: Path) -> list[Path]:
    """The images of a folder and its subfolders, in sorted order.

    Raises:
        InputError: as `list_images`, or a folder among them is one of a whole data set, is named
            as one of bad parts, or is one of good parts beside others.
    """
    paths = list_images(folder)
    below = {parent for path in paths for parent in path.relative_to(folder).parents}
    below -= _above_copies(paths, folder)
    if parts := [each for each in below if each.name.casefold() in DATA_SET]:
        names = ", ".join(sorted(map(str, parts))[:3])
        raise InputError(
            f"{folder} is a whole data set (it has {names}): give only good images that the model "
            "was not trained on, such as its test/good"
        )
    for each in sorted(below):
        if _is_bad((folder / each).resolve().name):
            raise InputError(
                f"{folder / each} is named as a folder of bad parts, which would count as normal "
                "ones: give a folder, or a list in a .txt file, of good images alone"
            )
        if each.name.casefold() in GOOD and (others := _beside(each, below, paths, folder)):
            raise InputError(
                f"{(folder / each).parent} has {', '.join(others[:3])} beside {each.name}, which "
                f"would count as normal parts: give {folder / each}, or a list in a .txt file"
            )
    return paths


def _above_copies(paths: Sequence[Path], folder: Path) -> set[Path]:
    """Folders of the path to a `train/good` that all pictures were copied from, with that path.

    It leads to a data set elsewhere. One whose `train` lies directly in the folder is that itself.
    """
    shared = Path(os.path.commonpath([path.parent for path in paths])).relative_to(folder)
    for each in (shared, *shared.parents):
        above = each.parent
        if each.name.casefold() in GOOD and above.name.casefold() == "train" and above.parent.name:
            return {above, *above.parents} - {Path()}
    return set()


def _is_bad(name: str) -> bool:
    words = [word.casefold() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)]
    return not BAD.isdisjoint([*words, "".join(words)])


def _beside(good: Path, below: set[Path], paths: list[Path], folder: Path) -> list[str]:
    """What holds pictures beside a folder of good parts, and is none itself."""
    folders = [each.name for each in below - {good, Path()} if each.parent == good.parent]
    loose = [path.name for path in paths if path.parent == folder / good.parent]
    return sorted(name for name in folders if name.casefold() not in GOOD) + loose
