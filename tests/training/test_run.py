"""A run whose files were damaged says so in one line."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from agent.names import Identifier
from training.errors import InputError
from training.run import WEIGHTS, check_product, load_frames, load_run, save_frames
from training.state import STATE, load_state

pytestmark = pytest.mark.usefixtures("no_second_process")


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99], ids=["empty", "half", "nearly whole"])
def test_frames_that_were_copied_in_part_are_named(kept: float, tmp_path: Path) -> None:
    path = tmp_path / "frames.npz"
    frames = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)
    save_frames(path, frames, np.zeros(4, bool))
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    with pytest.raises(InputError, match=r"frames\.npz cannot be read .*--frames FOLDER"):
        load_frames(path)


def test_frames_with_a_flipped_byte_are_named(tmp_path: Path) -> None:
    path = tmp_path / "frames.npz"
    frames = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)
    save_frames(path, frames, np.zeros(4, bool))
    data = bytearray(path.read_bytes())
    data[2000:2100] = bytes(100)
    path.write_bytes(bytes(data))
    with pytest.raises(InputError, match=r"frames\.npz cannot be read"):
        load_frames(path)


@pytest.mark.parametrize(("name", "load"), [(WEIGHTS, load_run), (STATE, load_state)])
def test_a_file_that_cannot_be_read_is_not_said_to_be_missing(
    name: str, load: Callable[[Path], object], trained: Path, tmp_path: Path
) -> None:
    """A colleague's run: "training has not finished there"; on --resume a traceback."""
    path = Path(shutil.copytree(trained, tmp_path / "run")) / name
    path.unlink()
    # Its mode would hold nobody off who runs these tests as root.
    path.symlink_to(path)
    with pytest.raises(InputError, match=f"cannot read {path}: Too many levels"):
        load(path.parent)


@pytest.mark.parametrize("name", ["", "x" * 129, "tile\x1b[2J", "tile\x85"])
def test_a_product_that_no_bundle_could_be_of_is_refused_before_the_training(name: str) -> None:
    """An hour later the export would refuse it, and nothing could be done."""
    with pytest.raises(InputError, match="cannot name a product"):
        check_product(name)
    with pytest.raises(ValidationError):
        TypeAdapter(Identifier).validate_python(name)


def test_any_other_name_is_a_products(name: str = "Gehäuse 7/b") -> None:
    assert check_product(name) == TypeAdapter(Identifier).validate_python(name) == name
