"""Reference arrays that several tests of training compare with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor


@pytest.fixture(scope="session")
def diffusion_numbers(shared: Path) -> dict[str, Tensor]:
    """What the official diffusion code computed, by the names of the reference's README."""
    with np.load(shared / "reference" / "diffusion_fixtures.npz") as arrays:
        return {name: torch.from_numpy(np.asarray(arrays[name])) for name in arrays.files}
