"""What training sees of a good image is a good image still."""

from __future__ import annotations

import subprocess
import sys

import cv2
import numpy as np

from training.batches import _augment


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
