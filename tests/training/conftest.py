"""What several tests of training compare with, or go on from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.training.small import STEPS, run_train, write_plates


@pytest.fixture(scope="session")
def diffusion_numbers(shared: Path) -> dict[str, Tensor]:
    """What the official diffusion code computed, by the names of the reference's README."""
    with np.load(shared / "reference" / "diffusion_fixtures.npz") as arrays:
        return {name: torch.from_numpy(np.asarray(arrays[name])) for name in arrays.files}


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of sixteen plates."""
    return write_plates(tmp_path_factory.mktemp("parts"))


@pytest.fixture(scope="module")
def trained(parts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a few steps on them, of this module alone: its tests may go on with it."""
    out = tmp_path_factory.mktemp("runs") / "plate"
    run_train(parts, out, "--steps", str(STEPS))
    return out
