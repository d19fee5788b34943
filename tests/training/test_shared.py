"""What a process is sent of a shared array is where it lies."""

from __future__ import annotations

import gc
import os
import pickle
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from training.errors import InputError
from training.shared import given_array, shared_array


def sent(what: Any) -> tuple[Any, int]:
    """As another process gets it, and the bytes that went there."""
    data = ForkingPickler.dumps(what)
    return pickle.loads(data), len(data)


def test_both_processes_have_one_array_not_two() -> None:
    array = shared_array((100, 64, 64, 3), np.uint8)
    other, size = sent(array)
    assert size < 1000
    array[7, 1, 2] = 5, 6, 7
    assert other.shape == array.shape and other[7, 1, 2].tolist() == [5, 6, 7]
    assert other.sum() == 18


def test_views_of_one_memory_arrive_as_they_were() -> None:
    array = shared_array((6, 8), np.int32)
    array[:] = np.arange(48).reshape(6, 8)
    views = [array[2:], array[::2, 1], array[1][::-1], array.T, array[5].reshape(2, 4)]
    for view, arrived in zip(views, sent(views)[0], strict=True):
        np.testing.assert_array_equal(arrived, view)


def test_other_arrays_arrive_as_ever() -> None:
    arrays = [np.arange(6.0).reshape(2, 3), shared_array((3,), np.uint8) + 1]
    for array, arrived in zip(arrays, sent(arrays)[0], strict=True):
        np.testing.assert_array_equal(arrived, array)
        arrived[:] = 0


def test_a_process_cannot_change_what_it_was_sent() -> None:
    """One worker's slip would be in the images of all, and no two trainings alike."""
    other, _ = sent(shared_array((4,), np.uint8))
    with pytest.raises(ValueError, match="read-only"):
        other[0] = 1


def test_what_is_given_away_is_its_receivers_own() -> None:
    """Torch warns of every array that it could not write to."""
    array = np.arange(6.0).reshape(2, 3)
    arrived, _ = sent(given_array(array))
    np.testing.assert_array_equal(arrived, array)
    arrived[0] = 9
    assert array[0].tolist() == [0, 1, 2]


def test_the_memory_goes_with_the_last_view() -> None:
    """And has no name by which a killed training could leave it behind."""

    def ours() -> list[str]:
        files = [os.readlink(path) for path in Path("/proc/self/fd").iterdir() if path.exists()]
        return [file for file in files if "normline" in file]

    gc.collect()  # what other tests have left
    before = len(ours())
    array = shared_array((4, 4), np.uint8)[1:]
    assert len(ours()) > before and all("(deleted)" in file for file in ours())
    del array
    gc.collect()
    assert len(ours()) == before


def test_more_than_the_machine_has_is_refused_at_once() -> None:
    """The system would grant it, and kill the training when it has read half of the images."""
    with pytest.raises(InputError, match=r"GiB .* this machine has .* fewer images"):
        shared_array((1 << 20, 1 << 20, 1 << 10), np.uint8)
