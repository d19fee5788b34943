"""Frames to quantise with and to judge a bundle by, where a run has kept none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.dataset import load_images, read_dataset
from training.selection import SelectionSet
from training.synthesis import Synthesizer
from training.synthesis.parts import cut_parts
from training.view import View

# At least so many images are read where there are as many, and as many tiles are kept at most as
# a run keeps.
IMAGES, MOST = 32, 64


def frames_from(folder: Path, view: View) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Frames of a folder of good images as training keeps them.

    Every tile as it is and with synthetic anomalies: uint8 [N, H, W, 3] BGR, and bool [N], which
    of them show one. The same folder gives the same.
    """
    paths = read_dataset(folder).train_good
    few = paths[:: max(1, len(paths) // IMAGES)]
    parts = cut_parts(load_images(few, view).canvases, view).sample(MOST, seed=0)
    pasted = SelectionSet(parts.tiles, Synthesizer(parts, None, np.random.default_rng(0)), seed=0)
    return pasted.frames, pasted.labels.astype(bool)
