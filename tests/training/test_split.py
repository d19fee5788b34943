"""Who is trained on is settled by names alone, and no part stands on both sides."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.split import ByPart, group_by_part, one_of_each, pictures, split_normals

NAMES = [Path("parts") / f"{index:04}.png" for index in range(200)]


def split(paths: list[Path], seed: int, fraction: float) -> tuple[list[Path], list[Path]]:
    train, held_out = split_normals(group_by_part(paths), seed, fraction)
    return pictures(train), pictures(held_out)


def test_split_parts_the_normals_once() -> None:
    train, held_out = split(NAMES, 1, 0.1)
    assert len(held_out) == 20 and sorted(train + held_out) == NAMES


def test_split_depends_on_names_and_seed_alone() -> None:
    _, held_out = split(NAMES, 1, 0.1)
    moved = [Path("elsewhere") / path.name for path in reversed(NAMES)]
    assert [path.name for path in split(moved, 1, 0.1)[1]] == [p.name for p in held_out]
    assert split(NAMES, 2, 0.1)[1] != held_out


def test_split_hardly_moves_when_images_are_added() -> None:
    before = set(split(NAMES, 1, 0.1)[1])
    more = [*NAMES, *(Path("parts") / f"new-{index}.png" for index in range(5))]
    assert len(before & set(split(more, 1, 0.1)[1])) >= len(before) - 3


@pytest.mark.parametrize("count", [2, 3, 8])
def test_split_leaves_something_on_each_side(count: int) -> None:
    train, held_out = split(NAMES[:count], 0, 0.1)
    assert held_out and train


GOOD = Path("tile") / "train" / "good"
LIGHTS = "abcdef"


@pytest.fixture
def six_each() -> ByPart:
    """Forty parts under six lights, and ten that have one picture each."""
    lights = [GOOD / f"tile{part}" / f"{light}.png" for part in range(40) for light in LIGHTS]
    return group_by_part([*lights, *(GOOD / f"{index}.png" for index in range(10))])


def test_no_part_stands_on_both_sides(six_each: ByPart) -> None:
    """Split by picture, nearly every part held out was trained on under another light."""
    assert len(six_each) == 50
    train, held_out = split_normals(six_each, 0, 0.2)
    assert len(held_out) == 10 and not train.keys() & held_out.keys()
    assert all(len(together) == (1 if part.suffix else 6) for part, together in train.items())
    assert sorted([*pictures(train), *pictures(held_out)]) == pictures(six_each)


@pytest.mark.parametrize("seed", range(4))
def test_of_each_part_one_picture_counts_under_any_light(six_each: ByPart, seed: int) -> None:
    """Drawn by its name alone it was the same light of every part, and another with each seed."""
    drawn = one_of_each(six_each, seed)
    assert len(group_by_part(drawn)) == len(drawn) == 50
    lights = [path.stem for path in drawn if path.stem in LIGHTS]
    assert len(lights) == 40 and all(lights.count(light) < 20 for light in LIGHTS)


def test_folders_elsewhere_tell_of_no_parts() -> None:
    """Days, cameras, or how a benchmark is laid out."""
    for folder in ("good/monday", "Data/Images/Normal", "train/good"):
        assert len(group_by_part([Path(folder) / f"{index}.png" for index in range(9)])) == 9
