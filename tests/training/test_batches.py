"""What training sees of a good image is a good image still."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import cv2
import numpy as np
import pytest
import torch

from training import batches
from training.batches import Batch, BatchMaker, _augment, _gets_anomaly, _pack
from training.budget import Budget
from training.material import gather
from training.order import Order
from training.presets import preset
from training.synthesis import Synthesizer
from training.wish import ViewWish


def test_a_moved_and_turned_image_is_as_sharp_as_the_camera_made_it() -> None:
    """Blurred by the turning, fine grain would be another texture than the one at the line."""
    rng = np.random.default_rng(0)
    noise = cv2.GaussianBlur(rng.normal(128, 60, (128, 128, 3)), (0, 0), 0.7)
    image = np.clip(noise, 0, 255).astype(np.uint8)

    def sharpness(picture: np.ndarray) -> float:
        return float(cv2.Laplacian(picture[16:-16, 16:-16], cv2.CV_32F).std() / picture.std())

    ratios = [
        sharpness(_augment(image, None, None, np.random.default_rng(seed))[0]) / sharpness(image)
        for seed in range(10)
    ]
    assert min(ratios) > 0.85 and max(ratios) < 1.15


def test_the_edge_of_a_part_stays_where_it_is() -> None:
    """Were it anywhere in training, a piece missing from it would be as good as any other edge."""
    image = np.full((128, 128, 3), 128, np.uint8)
    image[:, :12] = 20
    for seed in range(10):
        shown = _augment(image, None, None, np.random.default_rng(seed))[0]
        assert shown[:, :9].max() < 60 and shown[:, 15:].min() > 70


def test_a_worker_ends_without_the_interpreter_that_would_abort() -> None:
    """The end of most trainings said "terminate called without an active exception"."""
    ends = "import atexit; atexit.register(print, 'the interpreter ends')"
    begins = "from training.batches import _begin_worker; _begin_worker(0)"
    ended = subprocess.run([sys.executable, "-c", f"{ends}; {begins}"], capture_output=True)
    assert (ended.returncode, ended.stdout) == (0, b"")


def test_a_worker_takes_no_library_from_the_folder_it_is_started_in() -> None:
    """A stray file beside the images was loaded as one of Python's."""
    here = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
    code = "import os, training.batches; print(os.environ['LD_LIBRARY_PATH'])"
    said = subprocess.run([sys.executable, "-c", code], env=here, capture_output=True, text=True)
    path = said.stdout.removesuffix("\n")
    assert said.returncode == 0 and (path == "" or all(path.split(":")))


def test_a_worker_that_is_starting_leaves_ctrl_c_to_the_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Interrupted in its imports, each showed a traceback beside what the training said."""
    heard: list[Any] = []

    class Loader:
        def __init__(self, *_: object, **__: object) -> None:
            pass

        def __iter__(self) -> Iterator[Any]:
            heard.append(signal.getsignal(signal.SIGINT))
            return iter([()])

    monkeypatch.setattr(batches, "DataLoader", Loader)
    monkeypatch.setattr(batches, "Batch", lambda: heard.append(signal.getsignal(signal.SIGINT)))
    list(BatchMaker.stream(cast(BatchMaker, SimpleNamespace(workers=1)), 0))
    assert heard == [signal.SIG_IGN, signal.default_int_handler]


def test_a_batch_needs_no_room_in_dev_shm() -> None:
    """A container gives it 64 MB: some batches were lost, and the trainer waited for ever."""
    images = torch.randint(256, (4, 64, 64, 3), dtype=torch.uint8)
    mask = images[..., 0] > 100
    anomalous = torch.tensor([True, False, True, True])
    batch = Batch(images, images // 2, mask, mask.float(), anomalous, torch.arange(4))
    sent = ForkingPickler.dumps(_pack(batch))
    assert len(sent) < images[0].nbytes and b"torch" not in bytes(sent)
    arrived = pickle.loads(sent)
    for field, array in zip(fields(Batch), arrived, strict=True):
        assert torch.equal(torch.from_numpy(array), getattr(batch, field.name))


@pytest.mark.parametrize("grid", [(1, 1), (1, 2)], ids=["whole images", "tiles"])
def test_a_worker_holds_no_copy_of_the_images(grid: tuple[int, int], tmp_path: Path) -> None:
    """Twelve did, each of gigabytes. It makes the same batches from what its parent holds."""
    rng = np.random.default_rng(0)
    good, textures = tmp_path / "good", tmp_path / "textures"
    for folder, count in ((good, 12), (textures, 4)):
        folder.mkdir()
        for index in range(count):
            image = rng.integers(20, 25, (64, 128, 3), np.uint8)
            cv2.circle(image, (64 + index % 3, 32), 24, (90, 120, 160), -1)
            cv2.imwrite(str(folder / f"{index:02}.png"), image)
    order = Order(
        out=tmp_path / "run",
        preset="edge-s",
        budget=Budget(steps=1),
        input_size=(64, 64),
        view=ViewWish(align=False, grid=grid),
        seed=0,
        device="cpu",
        product="disc",
        textures=textures,
        resume=False,
    )
    material = gather(order, sorted(good.iterdir()), lambda line: None)
    assert material.parts.is_object
    synthesizer = Synthesizer(material.parts, material.textures, np.random.default_rng(0))
    maker = BatchMaker(material.parts.tiles, synthesizer, ["left-right"], 8, seed=0, good_every=4)
    sent = ForkingPickler.dumps(maker)
    # One of its images alone is more.
    assert len(sent) < 64 * 64 * 3
    here, there = maker[1], pickle.loads(sent)[1]
    for field in fields(Batch):
        assert torch.equal(getattr(here, field.name), getattr(there, field.name))


@pytest.mark.parametrize(("name", "good"), [("edge-m", 2), ("paper", 4)])
def test_a_preset_says_how_many_images_of_a_step_stay_good(name: str, good: int) -> None:
    """The paper's reconstruction learns from the good ones alone: half of all, not a quarter."""
    wanted = _gets_anomaly(8, preset(name).good_every)
    assert np.count_nonzero(~wanted) == good
