"""Fixtures that every folder of tests shares."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]

# A shell starts what runs in its background deaf to Ctrl-C, and children inherit that; the tests
# that interrupt one would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)
# And nohup deaf to the end of its terminal, which these tests themselves may go on to ignore.
signal.signal(signal.SIGHUP, lambda _number, _frame: None)


# Small tensors gain nothing from threads, and machines that run tests have other work, beside which
# a step of two threads takes ten times as long as one of one. Read when torch is imported.
os.environ["OMP_NUM_THREADS"] = "1"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference numbers and real images beside the checkout."""
    folder = REPOSITORY.parent / "shared"
    if not folder.is_dir():
        pytest.skip("reference data is not beside this checkout (../shared)")
    return folder


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Compiled engines of tests are not left in the user's cache, nor taken from it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("CACHE_DIRECTORY", raising=False)
        yield


@pytest.fixture(scope="module")
def no_second_process() -> Iterator[None]:
    """Trainings make their batches themselves; `test_training` has one that does not."""
    from tests.training.exact import make_batches_here
    from training.batches import BatchMaker

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BatchMaker, "stream", BatchMaker.stream)  # put back afterwards
        make_batches_here()
        yield
