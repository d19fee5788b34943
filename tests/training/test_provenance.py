"""A run says which code on which machine made it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import torch

from training import provenance
from training.provenance import code_version, machine


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The module as if it lay in a fresh git checkout."""
    module = tmp_path / "training" / "provenance.py"
    module.parent.mkdir()
    module.write_text("first")
    git(tmp_path, "init", "-q")
    monkeypatch.setattr(provenance, "__file__", str(module))
    return tmp_path


def test_a_checkout_names_its_commit_and_what_differs_from_it(checkout: Path) -> None:
    git(checkout, "add", ".")
    git(checkout, "commit", "-q", "-m", "one")
    commit = git(checkout, "rev-parse", "--short=12", "HEAD")
    assert code_version().endswith(f"+g{commit}")
    (checkout / "training" / "provenance.py").write_text("second")
    assert code_version().endswith(f"+g{commit}.dirty")


def test_code_below_another_projects_checkout_is_not_its_commit(checkout: Path) -> None:
    """An environment in a user's own repository, which git ignores."""
    (checkout / "readme").write_text("theirs")
    git(checkout, "add", "readme")
    git(checkout, "commit", "-q", "-m", "theirs")
    assert "+" not in code_version()


def test_the_machine_is_named() -> None:
    found = machine(torch.device("cpu"))
    assert found["torch"] == torch.__version__ and found["cores"] >= 1
    assert found["processor"] and "gpu" not in found
