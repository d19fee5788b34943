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


def test_the_home_of_a_user_who_is_not_here_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="bundle: ~nosuchuser/x.nlb: there is no such user here"):
        read(tmp_path, "~nosuchuser/x.nlb")
