"""The public benchmarks, in the layouts that they are published in.

    MVTec-AD, MPDD   <category>/train/good, test/<kind>, ground_truth/<kind>/<stem>_mask.png
    VisA             split_csv/1cls.csv: object,split,label,image,mask, paths from the root;
                     masks hold small class numbers, not 255
    DAGM 2007        Class<n>/{Train,Test}/<number>.PNG, Label/Labels.txt,
                     Label/<number>_label.PNG; its masks are coarse ellipses
    folders          products of one's own, each as MVTec-AD lays a category out
    a plain folder   one product, as `normline train` takes it

One model is trained for each category, on the good images of its training part alone.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from training.dataset import GOOD, MINIMUM_IMAGES, Dataset, LabelledImage, read_dataset
from training.errors import InputError

VISA_SPLIT = Path("split_csv") / "1cls.csv"
VISA_COLUMNS = ["object", "split", "label", "image", "mask"]
DAGM_CATEGORY = re.compile(r"Class(\d+)")
MPDD_CATEGORIES = frozenset(
    ("bracket_black", "bracket_brown", "bracket_white", "connector", "metal_plate", "tubes")
)
MVTEC_CATEGORIES = frozenset(
    ("bottle", "cable", "capsule", "carpet", "grid", "hazelnut", "leather", "metal_nut", "pill")
    + ("screw", "tile", "toothbrush", "transistor", "wood", "zipper")
)
# What a category has beside its train/good.
HALF_UNPACKED = ("test", "ground_truth")
DEFECT = "defect"


@dataclass(frozen=True)
class Benchmark:
    """A benchmark found on disk.

    categories: what reads each of them, by name in the order of the table.
    """

    name: str
    categories: dict[str, Callable[[], Dataset]]


def find_benchmark(root: Path) -> Benchmark:
    """Recognise the layout below `root`; no image is opened and no category read yet.

    Raises InputError where the folder is missing or nothing known is in it.
    """
    if not root.is_dir():
        raise InputError(f"{root} is not a folder: give the folder of a benchmark")
    if (root / VISA_SPLIT).is_file():
        return Benchmark("VisA", _visa(root))
    folders = sorted((path for path in root.iterdir() if path.is_dir()), key=_natural)
    dagm = [path for path in folders if DAGM_CATEGORY.fullmatch(path.name)]
    if dagm and all((path / "Train").is_dir() for path in dagm):
        return Benchmark("DAGM", {path.name: _reader(_dagm, path) for path in dagm})
    mvtec = [path for path in folders if (path / "train" / GOOD).is_dir()]
    if mvtec:
        names = {path.name for path in mvtec}
        for path in folders:
            if path.name not in names and any((path / each).is_dir() for each in HALF_UNPACKED):
                raise InputError(f"{path} has no train/{GOOD}: unpack it again, or remove it")
        published = {"MPDD": MPDD_CATEGORIES, "MVTec-AD": MVTEC_CATEGORIES}
        name = next((each for each, known in published.items() if names <= known), "folders")
        return Benchmark(name, {path.name: _reader(read_dataset, path) for path in mvtec})
    return Benchmark("folder", {root.resolve().name: _reader(read_dataset, root)})


def _reader(read: Callable[[Path], Dataset], folder: Path) -> Callable[[], Dataset]:
    return lambda: read(folder)


def _natural(path: Path) -> tuple[str, int]:
    """Class2 before Class10."""
    found = DAGM_CATEGORY.fullmatch(path.name)
    return ("Class", int(found[1])) if found else (path.name, 0)


def _visa(root: Path) -> dict[str, Callable[[], Dataset]]:
    try:
        with (root / VISA_SPLIT).open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns, listed = reader.fieldnames, list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{root / VISA_SPLIT} cannot be read: {error}") from error
    if not set(VISA_COLUMNS) <= set(columns or ()):
        raise InputError(
            f"{root / VISA_SPLIT} has the columns {columns}: expected "
            f"{','.join(VISA_COLUMNS)}, as VisA is published"
        )
    rows: dict[str, list[dict[str, str]]] = {}
    for row in listed:
        if any(row[name] is None for name in VISA_COLUMNS):
            raise InputError(f"{root / VISA_SPLIT}: {','.join(filter(None, row.values()))} is cut")
        rows.setdefault(row["object"], []).append(row)
    if not rows:
        raise InputError(f"{root / VISA_SPLIT} lists no image")
    return {name: _visa_reader(root, name, rows[name]) for name in sorted(rows)}


def _visa_reader(root: Path, name: str, rows: list[dict[str, str]]) -> Callable[[], Dataset]:
    def read() -> Dataset:
        train, test = [], []
        for row in rows:
            if row["split"] not in ("train", "test") or row["label"] not in ("normal", "anomaly"):
                raise InputError(
                    f"{root / VISA_SPLIT}: {row['image']} has split {row['split']!r} and label "
                    f"{row['label']!r}: expected train or test, normal or anomaly"
                )
            path, normal = _there(root / row["image"]), row["label"] == "normal"
            if row["split"] == "test":
                if not normal and not row["mask"]:
                    raise InputError(f"{root / VISA_SPLIT}: {row['image']} has no mask")
                mask = None if normal else _there(root / row["mask"])
                test.append(LabelledImage(path, GOOD if normal else DEFECT, mask, mask_level=1))
            elif normal:
                train.append(path)
        return _checked(name, train, test)

    return read


def _dagm(folder: Path) -> Dataset:
    train = [image.path for image in _dagm_part(folder / "Train") if not image.defective]
    return _checked(folder.name, train, _dagm_part(folder / "Test"))


def _dagm_part(folder: Path) -> list[LabelledImage]:
    """The images of one part: Labels.txt says which are defective, not the masks that happen to
    be there; a line is number, defective (0 or 1), image, a number, mask."""
    labels = _there(folder / "Label" / "Labels.txt")
    images = []
    for line in labels.read_text(encoding="utf-8", errors="replace").splitlines():
        fields = line.split()
        if len(fields) < 3:  # the first line holds the number of the class
            continue
        if len(fields) != 5 or fields[1] not in ("0", "1"):
            raise InputError(f"{labels}: {line!r} is no line of DAGM 2007's labels")
        defective = fields[1] == "1"
        mask = _there(folder / "Label" / fields[4]) if defective else None
        kind = DEFECT if defective else GOOD
        images.append(LabelledImage(_there(folder / fields[2]), kind, mask, mask_level=1))
    return images


def _there(path: Path) -> Path:
    if not path.is_file():
        raise InputError(f"{path} is missing: unpack the benchmark again")
    return path


def _checked(name: str, train: list[Path], test: list[LabelledImage]) -> Dataset:
    if len(train) < MINIMUM_IMAGES:
        raise InputError(
            f"category {name} has {len(train)} good images to train on: at least {MINIMUM_IMAGES} "
            "are needed"
        )
    return Dataset(sorted(train), test)
