"""Fixtures that every folder of tests shares."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]

# A shell starts what runs in its background deaf to Ctrl-C, and children inherit that; the tests
# that interrupt one would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference numbers and real images beside the checkout."""
    folder = REPOSITORY.parent / "shared"
    if not folder.is_dir():
        pytest.skip("reference data is not beside this checkout (../shared)")
    return folder
