"""Paths in a file that a person has written."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.errors import InputError
from agent.section import FilePath, Section, read_yaml


class Product(Section):
    bundle: FilePath


def read(folder: Path, bundle: str) -> Path:
    path = folder / "product.yaml"
    path.write_text(f"bundle: {bundle}")
    return read_yaml(path, Product, "product file").bundle


def test_a_path_begins_at_the_folder_of_its_file_or_at_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/operator")
    assert read(tmp_path, "tile.nlb") == tmp_path / "tile.nlb"
    assert read(tmp_path, "/data/tile.nlb") == Path("/data/tile.nlb")
    assert read(tmp_path, "~/tile.nlb") == Path("/home/operator/tile.nlb")


def test_an_error_repeats_no_more_of_a_file_than_a_line(tmp_path: Path) -> None:
    """Aliases of aliases made megabytes of it."""
    path = tmp_path / "product.yaml"
    lines = ["bundle:", "- &a0 [x, y]"]
    lines += [f"- &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 6)]
    path.write_text("\n".join(lines))
    with pytest.raises(InputError, match="bundle: input is not a valid path") as refused:
        read_yaml(path, Product, "product file")
    assert len(str(refused.value)) < 500


def test_the_home_of_a_user_who_is_not_here_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="bundle: ~nosuchuser/x.nlb: there is no such user here"):
        read(tmp_path, "~nosuchuser/x.nlb")
